"""`txplan dlq`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from engine.cli.common import F, actor, json_option, known_environment, open_target, out, painter, say
from engine.cli.options import Duration, Moment
from engine.model.diagnostic import Diagnostic, Refused, error

if TYPE_CHECKING:
    from engine.kinds.base import Needs
    from engine.kinds.deadletters import Filter
    from engine.providers.base import Database, Progress

_EPILOG = """\b
Examples:
  txplan dlq list dev-kim                               what waits, and why
  txplan dlq show dev-kim 17                            one of them with its bytes
  txplan dlq replay dev-kim --class bad_amount          after the contract was mended
  txplan dlq purge dev-kim                              what is resolved, or older than 14 days
"""


@click.group(epilog=_EPILOG)
def command() -> None:
    """List, show, replay or purge the records that broke the contract (the dead letters).

    ENV is a manifest, or the name of an environment that was planned here.
    """


def _choice(command: F) -> F:
    """The options that choose letters."""
    for option in (
        click.option("--until", type=Moment(), metavar="TIME", help="Only what arrived before then."),
        click.option("--since", type=Moment(), metavar="TIME",
                     help="Only what arrived since then: 2026-11-23T09:30:00Z, or how long ago, such as 2h."),
        click.option("--topic", help="Only of this topic; of a backfill, file:NAME."),
        click.option("--class", "error_class", metavar="CLASS", help="Only of this error class, such as bad_amount."),
    ):
        command = option(command)
    return command


_ids = click.argument("ids", nargs=-1, type=click.IntRange(1, 2**63 - 1), metavar="[ID]...")


def _chosen(ids: tuple[int, ...], choice: dict[str, Any]) -> Filter:
    from engine.kinds.deadletters import Filter

    return Filter(ids=list(ids) or None, **choice)


def _refuse_unknown(env: str, database: Database, ids: Sequence[int]) -> None:
    from engine.kinds.deadletters import unknown

    if ids and (missing := unknown(database, ids)):
        raise Refused([_unknown(env, missing)])


def _unknown(env: str, ids: Sequence[int]) -> Diagnostic:
    return error("unknown-dead-letter", f"{env} has no dead letter {', '.join(map(str, ids))}.",
                 mend=f"See them: txplan dlq list {env} --all")


def _needs(env: str) -> Needs:
    from engine.kinds.base import Needs

    return Needs(open_target(known_environment(env)))


@command.command("list")
@click.argument("env")
@_choice
@click.option("--all", "resolved", is_flag=True, help="Those that are resolved too.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many, the newest first.")
@json_option
def list_(env: str, resolved: bool, limit: int, as_json: bool, **choice: Any) -> None:
    """What waits for somebody: id, time, class, place and reason; never the content."""
    from engine.kinds.deadletters import by_class, newest
    from engine.render import deadletters_text as text

    database, chosen = _needs(env).database, _chosen((), choice)
    letters = newest(database, chosen, resolved=resolved, limit=limit)
    if as_json:
        for letter in letters:
            out(json.dumps({"event": "DeadLetter", **text.as_json(letter)}) + "\n")
        return
    for line in text.lines(letters, painter()):
        out(line + "\n")
    found = by_class(database, chosen, resolved=resolved)
    say(text.counts(found) + (f"; the newest {limit} are shown" if sum(found.values()) > limit else ""))


@command.command()
@click.argument("env")
@click.argument("id", type=click.IntRange(1, 2**63 - 1))
@click.option("--full", is_flag=True, help="All of the payload, however long.")
@json_option
def show(env: str, id: int, full: bool, as_json: bool) -> None:
    """One dead letter with its key and payload, escaped; with --json as base64. Leaves an audit row."""
    from engine.kinds.deadletters import content
    from engine.render import deadletters_text as text

    found = content(_needs(env).database, id, actor())
    if found is None:
        raise Refused([_unknown(env, [id])])
    if as_json:
        out(json.dumps({"event": "DeadLetter", **text.as_json(found)}) + "\n")
        return
    for line in text.in_full(found, painter(), None if full else text.SHOWN):
        out(line + "\n")


@command.command()
@click.argument("env")
@_ids
@_choice
@json_option
def replay(env: str, ids: tuple[int, ...], as_json: bool, **choice: Any) -> None:
    """Send dead letters the way of a fresh record: all that wait, or those chosen.

    What arrives is marked as resolved in the same transaction; what is still broken stays, with its reason of today.
    The total order decides as ever, so an old record never replaces a newer row.
    """
    from engine.kinds import deadletters
    from engine.providers.base import Context

    def progress(p: Progress) -> None:
        if not as_json and sys.stderr.isatty() and p.done is not None:
            sys.stderr.write(f"\r{p.done:,} {p.unit} ")

    needs = _needs(env)
    _refuse_unknown(env, needs.database, ids)
    result = deadletters.replay(needs, _chosen(ids, choice), actor(), Context(progress, lambda: False))
    if as_json:
        out(json.dumps({"event": "Replayed", **result}) + "\n")
    else:
        from engine.render.words import facts

        if sys.stderr.isatty():
            say("")
        out(f"Replayed: {facts(result)}\n")
    if result["still_broken"]:
        raise Refused([error("still-broken", f"{result['still_broken']:,} of {result['replayed']:,} are still broken.",
                             "They stay as they were, each with its reason of today.",
                             f"See why: txplan dlq list {env}")])


@command.command()
@click.argument("env")
@_ids
@_choice
@click.option("--older-than", type=Duration(), default="14d", show_default=True,
              help="From which age on one that is not resolved goes too.")
@click.option("--unresolved", is_flag=True, help="Those that are not resolved too, whatever their age.")
@click.option("--auto-approve", is_flag=True, help="Delete without asking.")
@json_option
def purge(env: str, ids: tuple[int, ...], older_than: timedelta, unresolved: bool, auto_approve: bool, as_json: bool,
          **choice: Any) -> None:
    """Delete dead letters for good: what is resolved, and what is older than 14 days. It asks first."""
    from engine.cli.running import ask
    from engine.kinds import deadletters

    database = _needs(env).database
    _refuse_unknown(env, database, ids)
    before = None if unresolved else datetime.now(UTC) - older_than
    found = deadletters.purgeable(database, _chosen(ids, choice), before)
    total = len(found.resolved) + len(found.unresolved)
    what = f"{len(found.resolved):,} resolved and {len(found.unresolved):,} unresolved dead letters"
    if total and not auto_approve:
        ask(f"Delete {what} of {env} for good?", "Add --auto-approve.")
    gone = deadletters.purge(database, found, actor()) if total else 0
    if as_json:
        out(json.dumps({"event": "Purged", "resolved": len(found.resolved), "unresolved": len(found.unresolved),
                        "deleted": gone}) + "\n")
    else:
        out(f"Deleted {gone:,}: {what}.\n" if total else "Nothing to delete.\n")
