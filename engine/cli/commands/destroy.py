"""`txplan destroy`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.common import asked_overrides, json_option, override_options

_EPILOG = """\b
Examples:
  txplan destroy manifests/dev-kim.yaml
  txplan destroy manifests/dev-kim.yaml --confirm dev-kim   without a terminal
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
    """Back to nothing: end and remove exactly what belongs to the environment.

    The plan is shown first, and the environment's name is asked for. It works after a crash or a reboot too.
    """
    from engine.cli.running import apply_manifest

    overrides = asked_overrides(overridden, reason)
    ctx.exit(apply_manifest(manifest, destroy=True, confirm=confirm, overrides=overrides, parallelism=parallelism,
                            as_json=as_json))
