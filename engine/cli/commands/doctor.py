"""`txplan doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from engine.cli.common import compiled, json_option, open_target, out, painter

_EPILOG = """\b
Examples:
  txplan doctor manifests/dev-kim.yaml
  txplan doctor manifests/test-2dt026.yaml --json
"""


@click.command(epilog=_EPILOG)
@click.argument("manifest", type=click.Path(path_type=Path))
@json_option
@click.pass_context
def command(ctx: click.Context, manifest: Path, as_json: bool) -> None:
    """Say what would keep the target from working, before anything is made.

    On Azure: which credential is used, the clock, the resource providers, the rights that an apply needs, and who
    manages the group. On this machine: PostgreSQL, the state folder, ports, disk and memory. Exit code 1
    where something would.
    """
    from engine.kinds.base import Needs
    from engine.model.codec import encode

    paint, bad = painter(), False
    for finding in Needs(open_target(compiled(manifest, as_json=as_json).environment)).doctor.look():
        bad = bad or finding.state == "error"
        if as_json:
            out(json.dumps({"event": "Finding", **encode(finding)}, ensure_ascii=False) + "\n")
            continue
        word = {"ok": paint("ok     ", "good"), "warning": paint("warning", "warn"),
                "error": paint("ERROR  ", "bad")}[finding.state]
        out(f"  {word} {finding.what:<10} {finding.says}\n" + (f"      mend: {finding.mend}\n" if finding.mend else ""))
    ctx.exit(1 if bad else 0)
