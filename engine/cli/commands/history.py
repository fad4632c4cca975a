"""`txplan history`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from engine.cli.common import environment_name, json_option, out, painter, say, state_dir
from engine.model.diagnostic import Refused, error

if TYPE_CHECKING:
    from engine.applying.journal import Run

_EPILOG = """\b
Examples:
  txplan history dev-kim                          every apply and destroy, oldest first
  txplan history dev-kim 20261123T024016-1e99a1   what that one did
"""


@click.command(epilog=_EPILOG)
@click.argument("env")
@click.argument("run", required=False)
@json_option
def command(env: str, run: str | None, as_json: bool) -> None:
    """Show what was applied to an environment, also to one that is gone.

    ENV is the environment's name, or its manifest. A part of a RUN's name is enough.
    """
    from engine.applying.journal import Journal

    name = environment_name(env)
    journal = Journal(state_dir() / "journal" / f"{name}.jsonl")
    runs = journal.runs()
    if torn := journal.torn():
        _say_torn(torn, as_json=as_json)
    if not runs:
        raise Refused([error("no-history", f"Nothing was applied to {name} from here.",
                             mend="Name an environment, such as dev-kim.")])
    if run is None:
        for item in runs:
            out(_as_json(item) if as_json else _line(item))
        return
    found = [item for item in runs if run in item.run]
    if len(found) != 1:
        raise Refused([error("unknown-run", f"{len(found)} runs of {name} are called {run!r}.",
                             mend=f"See them: txplan history {name}")])
    _show(found[0], as_json=as_json)


def _say_torn(lines: int, *, as_json: bool) -> None:
    if as_json:
        out(json.dumps({"event": "TornLines", "lines": lines}) + "\n")
    else:
        say(f"{lines} torn line{'s were' if lines > 1 else ' was'} passed over: an apply was killed while it wrote.")


def _as_json(run: Run) -> str:
    return json.dumps({"event": "Run", "run": run.run, "plan": run.plan, "at": run.at, "finish": run.finish or None,
                       "seconds": run.seconds, "succeeded": run.succeeded, "failed": run.failed,
                       "skipped": run.skipped}) + "\n"


def _line(run: Run) -> str:
    from engine.model.duration import spoken

    paint = painter()
    role = {"succeeded": "good", "interrupted": "warn"}.get(run.finish, "bad")
    took = f" in {spoken(run.seconds)}" if run.seconds is not None else ""
    ended = paint((run.finish or "no end recorded").ljust(15), role)
    return (f"{run.run}  {ended}  {run.succeeded} succeeded, {run.failed} failed, {run.skipped} skipped{took}, "
            f"plan {run.plan}\n")


def _show(run: Run, *, as_json: bool) -> None:
    """Each event as it stands, or in a line of its own."""
    for event in run.events:
        if as_json:
            out(json.dumps(event, ensure_ascii=False) + "\n")
            continue
        what = event.get("address") or event.get("finish") or ""
        more = [str(event[key]) for key in ("action", "blocked_by") if event.get(key)]
        if event.get("seconds") is not None:
            more.append(f"{event['seconds']} s")
        found = event.get("diagnostic") or {}
        if found:
            more.append(f"{found.get('code')}: {found.get('summary')}")
        says = (event.get("result") or {}).get("says")
        if says:
            more.append(str(says))
        out(f"{event.get('at', '')[:19]}Z  {event['event']:<14} {what}  {' · '.join(more)}".rstrip() + "\n")
