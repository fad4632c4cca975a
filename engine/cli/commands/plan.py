"""`txplan plan`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from engine.cli.common import (
    VALID_FOR,
    Asked,
    asked_overrides,
    at_hand,
    compiled,
    json_option,
    make_plan,
    offline_plan,
    out,
    override_options,
    painter,
    remember,
    say,
)
from engine.cli.options import Duration, reprocess_option
from engine.model.diagnostic import Refused, error
from engine.model.manifest import Reprocess
from engine.render import formats, renderer

_EPILOG = """\b
Examples:
  txplan plan manifests/dev-kim.yaml
  txplan plan manifests/dev-kim.yaml --out review.json --format markdown > review.md
  txplan plan manifests/dev-kim.yaml --detailed-exitcode   # 0 none, 2 changes, 3 refused
  txplan plan manifests/dev-kim.yaml --reprocess 2026-11-24T09:00:00Z
"""


@click.command(epilog=_EPILOG)
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--out", "path", type=click.Path(path_type=Path), help="Also write the plan to this file.")
@click.option("--destroy", is_flag=True, help="Plan the way back to nothing.")
@click.option("--recreate", is_flag=True, help="Plan the way back to nothing, and from there to a new environment.")
@click.option("--prune", is_flag=True, help="Also delete what the environment owns and the manifest does not declare.")
@click.option("--prove", is_flag=True, help="Take every proof anew, also where nothing changed.")
@click.option("--only", multiple=True, metavar="ADDRESS",
              help="This step alone, and what it waits for; again for more, a pattern such as 'gate.*' for many.")
@click.option("--exclude", multiple=True, metavar="ADDRESS",
              help="All but this step, and what waits for it; again for more, or a pattern.")
@click.option("--offline", type=click.Path(path_type=Path), metavar="SNAPSHOT",
              help="Plan from a snapshot, without access to the environment; for reading only.")
@click.option("--format", "format_", type=click.Choice(formats("plan")), default="text", show_default=True,
              help="How the plan is shown.")
@click.option("--valid-for", type=Duration(), default=VALID_FOR, show_default="24h",
              help="From then on apply refuses the plan.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 where there are changes.")
@reprocess_option
@override_options
@json_option
@click.pass_context
def command(ctx: click.Context, manifest: Path, path: Path | None, destroy: bool, recreate: bool, prune: bool,
            prove: bool,
            only: tuple[str, ...], exclude: tuple[str, ...], offline: Path | None, format_: str,
            valid_for: timedelta, detailed_exitcode: bool, reprocess: Reprocess | None, overridden: tuple[str, ...],
            reason: str | None, as_json: bool) -> None:
    """Show what would change and why; nothing is touched.

    The plan is kept: `txplan apply` applies the plan last reviewed. Exits 1 on errors and 3 where a guardrail refuses.
    """
    from engine.planning.planfile import save_plan

    _whole(destroy=destroy, recreate=recreate, prune=prune, selected=bool(only or exclude))
    if reprocess is not None and (destroy or recreate or offline is not None):
        raise click.UsageError("--reprocess is planned on what is live, to go on: not with --destroy, --recreate or "
                               "--offline.")
    overrides = asked_overrides(overridden, reason)
    asked = Asked(destroy=destroy, recreate=recreate, prune=prune, prove=prove, valid_for=valid_for,
                  overrides=overrides, only=only, exclude=exclude)
    if offline is not None:
        plan = offline_plan(compiled(manifest, as_json=as_json), offline, **asked)
    else:
        plan = make_plan(at_hand(manifest, as_json=as_json, reprocess=reprocess), **asked)
        remember(plan)
    if path is not None:
        save_plan(plan, path)
    out(renderer("plan", "json" if as_json else format_)(plan, painter()))
    if not as_json and plan.pending and plan.can_apply():
        say("Apply exactly this: txplan apply" + (f" {path}" if path else ""))
    ctx.exit(plan.exit_code(detailed=detailed_exitcode))


def _whole(*, destroy: bool, recreate: bool, prune: bool, selected: bool) -> None:
    """Refuse what cannot be asked for together."""
    if destroy + recreate + prune > 1:
        raise Refused([error("one-purpose", "A plan destroys, recreates, or builds (and prunes).",
                             mend="Give one of --destroy, --recreate and --prune.")])
    if recreate and selected:
        raise Refused([error("recreate-is-whole", "An environment is recreated as a whole or not at all.",
                             mend="Leave --only and --exclude out.")])
