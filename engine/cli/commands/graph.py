"""`txplan graph`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.common import out, read_manifest
from engine.render import formats, renderer

_EPILOG = """\b
Examples:
  txplan graph manifests/dev-kim.yaml
  txplan graph manifests/dev-kim.yaml --format svg > graph.svg
  txplan graph manifests/dev-kim.yaml --format dot | dot -Tpdf > graph.pdf
"""


@click.command(epilog=_EPILOG)
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--format", "format_", type=click.Choice(formats("graph")), default="text", show_default=True,
              help="How the graph is written.")
def command(manifest: Path, format_: str) -> None:
    """Show the steps of an environment and their order."""
    from engine.kinds.base import discover
    from engine.planning.graph import compile_graph

    graph = compile_graph(read_manifest(manifest), discover())
    out(renderer("graph", format_)(graph.ordered()))
