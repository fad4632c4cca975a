"""`txplan snapshot`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.common import at_hand, json_option, making, say, show_diagnostics

_EPILOG = """\b
Examples:
  txplan snapshot manifests/dev-kim.yaml --out dev-kim.snapshot.json
  txplan plan manifests/dev-kim.yaml --offline dev-kim.snapshot.json   a review without any access
"""


@click.command(epilog=_EPILOG)
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--out", "path", required=True, type=click.Path(path_type=Path), help="The file to write.")
@json_option
def command(manifest: Path, path: Path, as_json: bool) -> None:
    """Keep what is live in a file, so that others can review plans without access to the environment.

    The file holds names, settings and fingerprints, and no secret.
    """
    from engine.planning.observe import observe
    from engine.planning.snapshot import save_snapshot, take

    hand = at_hand(manifest, as_json=as_json)
    live = observe(hand.graph.steps.values(), hand.kinds, hand.capabilities)
    save_snapshot(take(hand.environment, hand.graph, live, making()), path)
    show_diagnostics(live.diagnostics, as_json=as_json)
    if not as_json:
        there = sum(seen.exists for seen in live.by_address.values())
        say(f"Kept {there} of {len(live.by_address)} steps that are live. Review: "
            f"txplan plan {manifest} --offline {path}")
