"""`txplan audit`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click

from engine.cli.common import json_option, known_environment, open_target, out, painter, say
from engine.cli.options import Moment

_EPILOG = """\b
Examples:
  txplan audit dev-kim                               the last 50 look-ups, oldest first
  txplan audit dev-kim --since 1h --status 401       who was turned away in the last hour
  txplan audit dev-kim --target tx-40928465278-p     who asked for it
  txplan audit dev-kim --actor operator --limit 0 --json > audit.jsonl
"""
_WIDTH = 30


@click.command(epilog=_EPILOG)
@click.argument("env")
@click.option("--actor", metavar="NAME", help="Only this one's calls; `-` is who gave no valid credential.")
@click.option("--target", metavar="TEXT", help="Only calls whose path holds this text.")
@click.option("--status", type=click.IntRange(0, 599), metavar="CODE", help="Only calls with this answer.")
@click.option("--since", type=Moment(), metavar="TIME", help="From an instant, or so long ago: 2026-11-24T09:00Z, 1h.")
@click.option("--until", type=Moment(), metavar="TIME", help="Before an instant, or so long ago.")
@click.option("--limit", type=click.IntRange(min=0), default=50, show_default=True, metavar="N",
              help="The newest N; 0 for all.")
@json_option
def command(env: str, actor: str | None, target: str | None, status: int | None, since: datetime | None,
            until: datetime | None, limit: int, as_json: bool) -> None:
    """Show who looked what up, as the audit's reviewer.

    It reads with the role bo_reviewer, which can read the audit and nothing else. A row stands half a second after its
    answer.
    """
    from engine.kinds.auditing import Wanted, audited
    from engine.kinds.base import Needs

    wanted = Wanted(actor, target, status, since, until, limit or None)
    found = 0
    for row in audited(Needs(open_target(known_environment(env))).database, wanted):
        found += 1
        out(_as_json(row) if as_json else _line(row))
    if not as_json:
        say("Nothing was found." if not found else f"Calls: {found}." if limit == 0 or found < limit else
            f"The newest {found}; --limit 0 for all.")


def _as_json(row: Any) -> str:
    return json.dumps({"at": row.at.astimezone(UTC).isoformat(), "actor": row.actor, "action": row.action,
                       "target": row.target, "results": row.results, "status": row.status}) + "\n"


def _line(row: Any) -> str:
    """One line whatever a client sent: nothing of it speaks to the terminal."""
    from engine.render.words import safe

    paint = painter()
    role = "good" if 200 <= row.status < 300 else "dim" if row.status == 404 else "warn" if row.status < 500 else "bad"
    return (f"{row.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z  {paint(str(row.status), role)}  {safe(row.actor):<10} "
            f"{safe(row.action):<{_WIDTH}} {safe(row.target)}  ({row.results})\n")
