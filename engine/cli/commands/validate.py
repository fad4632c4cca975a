"""`txplan validate`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from engine.cli.common import json_option, out, read_manifest

_EPILOG = """\b
Examples:
  txplan validate manifests/dev-kim.yaml
  txplan validate manifests/*.yaml --json
"""


@click.command(epilog=_EPILOG)
@click.argument("manifests", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def command(manifests: tuple[Path, ...], as_json: bool) -> None:
    """Check manifests; every problem with its file, line and mend.

    Exits 0 where all are good, 1 where any is not.
    """
    from engine.kinds.base import discover
    from engine.model.diagnostic import Diagnostic, Refused
    from engine.planning.graph import compile_graph

    problems: list[Diagnostic] = []
    for path in manifests:
        try:
            manifest = read_manifest(path, as_json=as_json)
            graph = compile_graph(manifest, discover())
        except Refused as refused:
            problems += refused.diagnostics
            continue
        if as_json:
            out(json.dumps({"event": "Valid", "manifest": str(path), "environment": manifest.environment,
                            "steps": len(graph.steps), "digest": manifest.digest}) + "\n")
        else:
            out(f"{path}: good. {manifest.environment} on {manifest.target}, {len(graph.steps)} steps.\n")
    if problems:
        raise Refused(problems)
