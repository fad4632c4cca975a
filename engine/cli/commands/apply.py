"""`txplan apply`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.common import asked_overrides, json_option, override_options
from engine.cli.options import reprocess_option
from engine.model.manifest import Reprocess

_EPILOG = """\b
Examples:
  txplan apply                           the plan last reviewed
  txplan apply review.json               exactly that plan
  txplan apply manifests/dev-kim.yaml    plan, show, ask, apply
  txplan apply manifests/dev-kim.yaml --auto-approve --json   in CI
  txplan apply manifests/dev-kim.yaml --reprocess ledger.entry.upserted:0=1200
"""


@click.command(epilog=_EPILOG)
@click.argument("what", required=False, type=click.Path(path_type=Path), metavar="[PLAN.json | MANIFEST]")
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@click.option("--parallelism", type=click.IntRange(1, 64), default=8, show_default=True,
              help="How many steps run at once.")
@click.option("--confirm", metavar="NAME", help="For a plan that destroys: the environment's name.")
@click.option("--prove", is_flag=True, help="Of a manifest: take every proof anew, also where nothing changed.")
@reprocess_option
@override_options
@json_option
@click.pass_context
def command(ctx: click.Context, what: Path | None, auto_approve: bool, parallelism: int, prove: bool,
            reprocess: Reprocess | None, overridden: tuple[str, ...], reason: str | None, confirm: str | None,
            as_json: bool) -> None:
    """Carry out a plan.

    Without an argument, the plan last reviewed; with a plan file, that plan; with a manifest, a new plan that is shown
    and asked about. A plan that you reviewed is not asked about again, but for one that destroys the
    environment: that one asks for its name. Ctrl-C stops cleanly: what runs finishes or is
    recorded as interrupted, nothing new starts, and the next apply goes on from there.
    """
    from engine.cli.running import apply_manifest, apply_reviewed

    overrides = asked_overrides(overridden, reason)
    if what is not None and what.suffix in (".yaml", ".yml"):
        ctx.exit(apply_manifest(what, approved=auto_approve, overrides=overrides, prove=prove,
                                parallelism=parallelism, as_json=as_json, reprocess=reprocess))
    if prove or reprocess is not None:
        raise click.UsageError("A plan says already what it proves and reads again: --prove and --reprocess go with a "
                               "manifest.")
    ctx.exit(apply_reviewed(what, overrides=overrides, parallelism=parallelism, as_json=as_json, confirm=confirm))
