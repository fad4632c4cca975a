"""`txplan promote`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.common import at_hand, evidence_folder, json_option
from engine.cli.options import Duration
from engine.model.diagnostic import Refused, error

if TYPE_CHECKING:
    from engine.model.evidence import Promotion

_EPILOG = """\b
Examples:
  txplan promote manifests/dev-kim.yaml --to manifests/secure.yaml              plan, show, ask, apply
  txplan promote manifests/dev-kim.yaml --to manifests/secure.yaml --plan-only  for a review; then txplan apply
"""


@click.command(epilog=_EPILOG)
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--to", "secure", required=True, type=click.Path(path_type=Path), help="The manifest to build.")
@click.option("--max-age", type=Duration(), default="24h", show_default=True,
              help="How old the oldest proof of the first one may be.")
@click.option("--plan-only", is_flag=True, help="Only show the plan, and keep it for txplan apply.")
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@click.option("--parallelism", type=click.IntRange(1, 64), default=8, show_default=True,
              help="How many steps run at once.")
@json_option
@click.pass_context
def command(ctx: click.Context, manifest: Path, secure: Path, max_age: timedelta, plan_only: bool, auto_approve: bool,
            parallelism: int, as_json: bool) -> None:
    """Build a stricter environment from the evidence of a green one (P3.2).

    The new one is other resources, of the same code and schema; the one that was proven is left as it is. Refused
    (exit code 3) where the evidence is missing, stale, edited or partial, or no longer what is live, where the code or
    the revisions here are others, where somebody changed the schema by hand, or where an override does not promote.
    """
    from engine.cli.running import apply_manifest

    ctx.exit(apply_manifest(secure, approved=auto_approve, parallelism=parallelism, as_json=as_json,
                            plan_only=plan_only, promotion=_promotion(manifest, max_age, as_json=as_json)))


def _promotion(manifest: Path, max_age: timedelta, *, as_json: bool) -> Promotion:
    from engine.model.evidence import Promotion
    from engine.planning.evidence import moved
    from engine.planning.evidence_file import all_evidence
    from engine.planning.guardrails import REFUSED
    from engine.planning.observe import observe

    hand = at_hand(manifest, as_json=as_json)
    name = hand.environment.name
    try:
        kept = all_evidence(evidence_folder(name))
    except Refused as unusable:
        raise Refused(unusable.diagnostics, exit_code=REFUSED) from unusable
    if not kept:
        raise Refused([error("no-evidence", f"There is no evidence of {name} here.", mend=f"Apply it to green gates: "
                             f"txplan apply {manifest}", rule="P3.2")], exit_code=REFUSED)
    path, record = kept[-1]
    outdated = moved(record, observe(hand.graph.steps.values(), hand.kinds, hand.capabilities))
    if outdated:
        raise Refused(outdated, exit_code=REFUSED)
    return Promotion(path.stem, record, max_age.total_seconds())
