"""`txplan extend`."""

from __future__ import annotations

import difflib
import json
from datetime import date, datetime, timedelta
from pathlib import Path

import click

from engine.cli.common import (
    at_hand,
    json_option,
    known_environments,
    make_plan,
    now,
    out,
    painter,
    read_manifest,
    remember,
    say,
)
from engine.model.diagnostic import Refused, error
from engine.render import renderer

_EPILOG = """\b
Examples:
  txplan extend dev-kim --days 14                             14 days more, or from today where it has expired
  txplan extend manifests/dev-kim.yaml --ttl 2027-01-31
  txplan apply                                                then: the live tags too
"""


@click.command(epilog=_EPILOG)
@click.argument("env")
@click.option("--ttl", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="The new last day.")
@click.option("--days", type=click.IntRange(1, 3650), metavar="N", help="So many days later than the last day now.")
@json_option
@click.pass_context
def command(ctx: click.Context, env: str, ttl: datetime | None, days: int | None, as_json: bool) -> None:
    """Give an environment a later ttl: in its manifest, then in its tags.

    ENV is a manifest, or the name of an environment that is live here. The manifest is the truth: only the day in it
    changes. The plan is shown and kept, and `txplan apply` applies it as any other.
    """
    from engine.cli.known import manifest_of
    from engine.load.edit import with_ttl, write_manifest

    if (ttl is None) == (days is None):
        raise Refused([error("which-ttl", "An extension needs a day.", mend="Give either --ttl DATE or --days N.")])
    path, today = manifest_of(env), now().date()
    manifest = read_manifest(path, as_json=as_json)
    new = ttl.date() if ttl else _later(max(manifest.ttl, today), days or 0)
    if new <= manifest.ttl or new < today:
        raise Refused([error("no-extension", f"{new} is no later day than the ttl {max(manifest.ttl, today)}.",
                             mend="Name a later day.", position=manifest.where("ttl"), rule="P3.3")])
    before = path.read_bytes().decode("utf-8")
    after = with_ttl(before, manifest, new)
    write_manifest(path, after, manifest, new, today=today)
    if as_json:
        out(json.dumps({"event": "Extended", "environment": manifest.environment, "manifest": str(path),
                        "before": manifest.ttl.isoformat(), "after": new.isoformat()}) + "\n")
    else:
        out("".join(_diff(path, before, after)))
    # Whether one on Azure is live, its plan says.
    if manifest.target == "local" and manifest.environment not in [k.environment.name for k in known_environments()]:
        say(f"{manifest.environment} is not live here; its manifest has the new ttl.")
        return
    plan = make_plan(at_hand(path, as_json=as_json))
    remember(plan)
    out(renderer("plan", "json" if as_json else "text")(plan, painter()))
    if plan.pending and plan.can_apply() and not as_json:
        say("The live tags follow when this plan is applied: txplan apply")
    ctx.exit(plan.exit_code(detailed=False))


def _later(day: date, days: int) -> date:
    try:
        return day + timedelta(days=days)
    except OverflowError as problem:
        raise Refused([error("no-extension", "No calendar holds that day.", mend="Name an earlier one.")]) from problem


def _diff(path: Path, before: str, after: str) -> list[str]:
    paint, lines = painter(), difflib.unified_diff(before.splitlines(), after.splitlines(), str(path), str(path), n=1,
                                                   lineterm="")
    roles = {"+": "good", "-": "bad", "@": "dim"}
    return [paint(line, roles.get(line[:1], "dim")) + "\n" for line in lines]
