"""`txplan cutover`: how the division between backfill and stream stands, and the consumer groups that it made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from engine.cli.common import json_option, known_environment, open_target, out, painter, say, show_diagnostics
from engine.render import formats, renderer

if TYPE_CHECKING:
    from engine.planning.coverage import Coverage

_EPILOG = """\b
Examples:
  txplan cutover status dev-kim
  txplan cutover timeline dev-kim --format svg > timeline.svg
  txplan cutover groups dev-kim --remove
"""


@click.group(epilog=_EPILOG)
def command() -> None:
    """Show what backfill and stream cover, and list or remove consumer groups."""


@command.command(epilog="\b\nExamples:\n  txplan cutover status dev-kim\n  txplan cutover status dev-kim --json\n")
@click.argument("env")
@json_option
def status(env: str, as_json: bool) -> None:
    """T, offsets, and how far each side is.

    For each partition also until when the stream can be replayed. Clocks that are near Δ apart are warned of.
    """
    from engine.render.coverage_text import render

    seen = _coverage(env)
    if as_json:
        out(json.dumps(_as_json(seen), ensure_ascii=False) + "\n")
    else:
        out(render(seen, painter()))
        show_diagnostics(seen.warnings)


@command.command(epilog="\b\nExamples:\n  txplan cutover timeline dev-kim\n"
                 "  txplan cutover timeline dev-kim --format svg > timeline.svg\n")
@click.argument("env")
@click.option("--format", "format_", type=click.Choice(formats("timeline")), default="text", show_default=True,
              help="How it is drawn.")
def timeline(env: str, format_: str) -> None:
    """Draw which side covered what.

    From the source's first row until now; a mark an instant, in their order and to no scale.
    """
    from engine.planning.timeline import timeline as of

    out(renderer("timeline", format_)(of(_coverage(env)), painter()))


@command.command(epilog="\b\nExamples:\n  txplan cutover groups dev-kim\n  txplan cutover groups dev-kim --remove\n"
                 "  txplan cutover groups dev-kim bo-sync-dev-kim-v1 --remove --auto-approve\n")
@click.argument("env")
@click.argument("group", nargs=-1)
@click.option("--remove", is_flag=True, help="Remove these groups, or all old ones without members.")
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@json_option
def groups(env: str, group: tuple[str, ...], remove: bool, auto_approve: bool, as_json: bool) -> None:
    """List consumer groups, or remove old ones.

    Each with whose it is, its generation, members and lag.

    With --remove, groups of old generations go. The active one, one with members, and one of another environment
    never do: that is refused with exit code 3, and nothing is removed.
    """
    from engine.cli.running import ask
    from engine.kinds.base import Needs
    from engine.model.codec import encode
    from engine.planning import consumer_groups
    from engine.planning.coverage import require_environment
    from engine.policy.naming import names_of
    from engine.render.coverage_text import groups as as_table

    if group and not remove:
        raise click.UsageError("Groups are named to be removed: add --remove.")
    environment = known_environment(env)
    capabilities, names = open_target(environment), names_of(environment)
    require_environment(environment.name, capabilities)
    needs = Needs(capabilities)
    found = consumer_groups.read_groups(names, needs)
    if not remove:
        out("".join(json.dumps({"event": "Group", **encode(g)}) + "\n" for g in found) if as_json
            else as_table(found, painter()))
        return
    chosen = consumer_groups.removable(found, names, group)
    if not chosen:
        say("There is no old group to remove.")
        return
    if not as_json:
        out(as_table(chosen, painter()))
    if not auto_approve:
        ask(f"Remove {len(chosen)} consumer group{'' if len(chosen) == 1 else 's'}?", "Add --auto-approve.")
    with capabilities.lock.acquire("remove consumer groups"):
        # Under the lock once more: an apply may have taken or finished a cutover meanwhile.
        again = consumer_groups.read_groups(names, needs)
        chosen = consumer_groups.removable(again, names, [g.name for g in chosen])
        consumer_groups.remove(chosen, needs, lambda g: out(
            json.dumps({"event": "GroupRemoved", "name": g.name}) + "\n" if as_json else f"removed {g.name}\n"))


def _coverage(env: str) -> Coverage:
    from engine.planning.coverage import read_coverage

    environment = known_environment(env)
    return read_coverage(environment, open_target(environment))


def _as_json(seen: Coverage) -> dict[str, Any]:
    """The coverage with offsets as trees and durations in seconds."""
    from engine.kinds.records import offsets_to_json
    from engine.model.codec import encode

    data: dict[str, Any] = encode(seen)
    data["cutover"] |= {"start_offsets": offsets_to_json(seen.cutover.start_offsets),
                        "skew": seen.cutover.skew.total_seconds()}
    data["partitions"] = [{**encode(p), "lag": p.lag} for p in seen.partitions]
    data["reprocessings"] = [{**encode(r), "begin": offsets_to_json(r.begin), "end": offsets_to_json(r.end)}
                             for r in seen.reprocessings]
    return {"event": "Cutover", **data, "owned_until": encode(seen.owned_until)}
