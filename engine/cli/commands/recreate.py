"""`txplan recreate`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.common import asked_overrides, json_option, override_options

_EPILOG = """\b
Examples:
  txplan recreate manifests/dev-kim.yaml
  txplan recreate manifests/dev-kim.yaml --confirm dev-kim   without a terminal
  txplan plan manifests/dev-kim.yaml --recreate --out review.json   for a review; then: txplan apply review.json
"""


@click.command(epilog=_EPILOG)
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--confirm", metavar="NAME", help="The environment's name, instead of being asked for it.")
@click.option("--parallelism", type=click.IntRange(1, 64), default=8, show_default=True,
              help="How many steps run at once.")
@override_options
@json_option
@click.pass_context
def command(ctx: click.Context, manifest: Path, confirm: str | None, parallelism: int, overridden: tuple[str, ...],
            reason: str | None, as_json: bool) -> None:
    """Destroy an environment and build it anew, by one plan.

    It is built with the next generation, so its consumer group is one that nobody had yet (P7.2).
    The plan is shown first, and the environment's name is asked for. What a guardrail would refuse while building is
    refused before anything is destroyed. Where it was cut, `txplan apply` goes on with the same plan.
    """
    from engine.cli.running import apply_manifest

    overrides = asked_overrides(overridden, reason)
    ctx.exit(apply_manifest(manifest, recreate=True, confirm=confirm, overrides=overrides, parallelism=parallelism,
                            as_json=as_json))
