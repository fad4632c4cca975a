"""`txplan drift`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from engine.cli.common import at_hand, json_option, make_plan, out, painter, show_diagnostics
from engine.model.change import Action
from engine.model.diagnostic import Severity

_EPILOG = """\b
Examples:
  txplan drift manifests/dev-kim.yaml          0 none, 1 it could not be told, 2 drift
  txplan drift manifests/dev-kim.yaml --json   a line for each value, for a schedule
"""


@click.command(epilog=_EPILOG)
@click.argument("manifest", type=click.Path(path_type=Path))
@json_option
@click.pass_context
def command(ctx: click.Context, manifest: Path, as_json: bool) -> None:
    """Show what somebody changed outside since it was last applied.

    What the manifest itself changes is no drift: see `txplan plan`. Nothing is touched, and no plan is kept.
    """
    from engine.model.codec import encode
    from engine.render.reading import read

    plan = make_plan(at_hand(manifest, as_json=as_json))
    show_diagnostics(plan.diagnostics, as_json=as_json)
    drifted = [c for c in plan.changes if c.drift]
    unread = [c for c in plan.changes if c.action is Action.WAIT]
    if as_json:
        for change in drifted:
            for diff in change.drift:
                out(json.dumps({"event": "Drift", "address": str(change.address), "path": diff.path,
                                "applied": encode(diff.before), "live": encode(diff.after)}, ensure_ascii=False) + "\n")
        out(json.dumps({"event": "DriftChecked", "drifted": [str(c.address) for c in drifted],
                        "unreadable": [str(c.address) for c in unread]}) + "\n")
    else:
        paint = painter()
        for line in read(plan).drift:
            out(f"  {paint(line, 'warn')}\n")
        for change in unread:
            out(f"  {change.address}: {'; '.join(r.text for r in change.reasons)}\n")
        out(f"Changed outside: {len(drifted)} of {len(plan.changes)} steps.\n")
    blind = unread or any(d.severity is Severity.ERROR for d in plan.diagnostics)
    ctx.exit(2 if drifted else 1 if blind else 0)
