"""`txplan unlock`."""

from __future__ import annotations

import json
import sys

import click

from engine.cli.common import json_option, known_environment, now, open_target, out
from engine.model.diagnostic import Refused, error
from engine.model.duration import spoken
from engine.providers.base import LockStanding

_EPILOG = """\b
Examples:
  txplan unlock dev-kim                      who has it, and whether that one lives
  txplan unlock dev-kim --confirm dev-kim    without a terminal
"""


@click.command(epilog=_EPILOG)
@click.argument("env")
@click.option("--confirm", metavar="NAME", help="The environment's name, instead of being asked for it.")
@click.option("--force", is_flag=True, help="Also where its holder lives. Two applies may then change it at once.")
@json_option
@click.pass_context
def command(ctx: click.Context, env: str, confirm: str | None, force: bool, as_json: bool) -> None:
    """Show who holds an environment's lock; break it where nobody lives.

    A lock is free again by itself when its holder's process ends, however it ends. This is for one whose holder is on
    another host, or hangs. A holder that lives on this host is left alone (exit code 6), unless you --force it.
    """
    environment = known_environment(env)
    lock, name = open_target(environment).lock, environment.name
    standing = lock.standing()
    if standing is None:
        _tell(as_json, f"{name} is not locked.", "Unlocked", standing, broke=False)
        return
    if not standing.held:
        with lock.acquire("unlock"):  # Gives back what was left behind, and takes nothing from anybody.
            pass
        _tell(as_json, f"{name} is not locked: {_who(standing)} has ended without giving it back; that is cleared "
              "away.", "Unlocked", standing, broke=False)
        return
    if standing.alive and not force:
        raise Refused([error("holder-lives", f"{name} is locked by {_who(standing)}, whose process lives.",
                             "Breaking it would let two applies change the environment at once.",
                             "Wait, or stop that process (Ctrl-C: it stops cleanly); --force breaks the lock all the "
                             "same.")], exit_code=6)
    _confirm(name, standing, confirm)
    lock.break_open(standing.holder)
    _tell(as_json, f"{name} is unlocked. {_who(standing)} was not asked, and is not stopped by this.", "Unlocked",
          standing, broke=True)
    ctx.exit(0)


def _who(standing: LockStanding) -> str:
    holder = standing.holder
    if holder is None:
        return "somebody whose name cannot be read"
    return (f"{holder.who}@{holder.host} (pid {holder.pid}, {holder.purpose}, since {holder.since:%Y-%m-%d %H:%M:%SZ}, "
            f"{spoken(round((now() - holder.since).total_seconds()))})")


def _confirm(name: str, standing: LockStanding, confirm: str | None) -> None:
    lives = {True: "its process lives", False: "its process has ended", None: "this host cannot see whether it lives"}
    if confirm is None:
        if not sys.stdin.isatty():
            raise Refused([error("no-terminal", "There is no terminal to ask on.",
                                 f"{name} is locked by {_who(standing)}: {lives[standing.alive]}.",
                                 f"Add --confirm {name}")])
        click.echo(f"{name} is locked by {_who(standing)}: {lives[standing.alive]}.", err=True)
        confirm = click.prompt(f"Type {name} to break the lock", default="", show_default=False, err=True)
    if confirm != name:
        raise Refused([error("not-confirmed", f"{confirm!r} is not {name!r}; the lock is as it was.")])


def _tell(as_json: bool, text: str, event: str, standing: LockStanding | None, *, broke: bool) -> None:
    from engine.model.codec import encode

    out(json.dumps({"event": event, "broke": broke, "holder": encode(standing.holder) if standing else None}) + "\n"
        if as_json else text + "\n")
