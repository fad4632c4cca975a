"""`txplan schema`."""

from __future__ import annotations

import click

from engine.cli.common import out

_EPILOG = """\b
Examples:
  txplan schema > environment.schema.json
  txplan schema plan
Name it in a manifest's first line, and editors complete and explain each key:
  # yaml-language-server: $schema=environment.schema.json
"""


@click.command(epilog=_EPILOG)
@click.argument("which", type=click.Choice(["environment", "plan"]), default="environment")
def command(which: str) -> None:
    """Print the JSON Schema of a manifest, or of a plan file."""
    from engine.assets import asset

    out((asset("schemas") / f"{which}.schema.json").read_text(encoding="utf-8"))
