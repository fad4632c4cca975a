"""`txplan feed`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli.common import at_hand, json_option, out, say
from engine.model.address import Address
from engine.model.diagnostic import Refused, error

if TYPE_CHECKING:
    from engine.model.manifest import Manifest
    from engine.providers.base import Progress

_EPILOG = """\b
Examples:
  txplan feed manifests/dev-kim.yaml                      the manifest's own load source
  txplan feed manifests/dev-kim.yaml --rate 500 --limit 10000 --shift-to-now
  txplan feed manifests/dev-kim.yaml --synthetic 1000 --seed 7 --late 0.1 --broken 0.01
"""


@click.command(epilog=_EPILOG)
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--orders", metavar="GLOB", help="Files of orders, with --ledger.")
@click.option("--ledger", metavar="GLOB", help="Files of ledger entries, with --orders.")
@click.option("--synthetic", type=click.IntRange(1), metavar="N", help="N made-up payments instead of files.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same payments.")
@click.option("--late", type=click.FloatRange(0, 1), default=0.0, help="Share of late events.")
@click.option("--duplicates", type=click.FloatRange(0, 1), default=0.0, help="Share of events sent twice.")
@click.option("--out-of-order", type=click.FloatRange(0, 1), default=0.0, help="Share of events out of order.")
@click.option("--broken", type=click.FloatRange(0, 1), default=0.0, help="Share of events that break the contract.")
@click.option("--rate", type=click.IntRange(1), help="Events a second; as fast as it goes without it.")
@click.option("--limit", type=click.IntRange(1), help="Stop after so many events.")
@click.option("--shift-to-now", is_flag=True, help="Move event times so that they are about now.")
@json_option
def command(manifest: Path, orders: str | None, ledger: str | None, synthetic: int | None, rate: int | None,
            limit: int | None, shift_to_now: bool, as_json: bool, **shares: Any) -> None:
    """Publish events from files, or made-up ones, to the environment's hubs."""
    from engine.kinds.backfill import describe_source, job_source
    from engine.kinds.base import Needs
    from engine.kinds.jobs import run_job
    from engine.model.manifest import FilesSource, SyntheticSource
    from engine.providers.base import Context

    _refuse_what_would_be_ignored(orders, ledger, synthetic, shares)
    hand = at_hand(manifest, as_json=as_json)
    if synthetic is not None:
        source: FilesSource | SyntheticSource = SyntheticSource(payments=synthetic, **shares)
    elif orders and ledger:
        source = FilesSource(str(Path(orders).absolute()), str(Path(ledger).absolute()))
    else:
        source = _own_source(hand.manifest)
    spec = {**job_source(describe_source(source)), "rate": rate, "limit": limit, "shift_to_now": shift_to_now}

    def progress(p: Progress) -> None:
        if not as_json and sys.stderr.isatty() and p.done is not None:
            sys.stderr.write(f"\r{p.done:,} {p.unit} ")

    needs = Needs(hand.capabilities)
    hubs = {f"HUB_{h.key.upper()}": h.name for h in hand.manifest.hubs}
    result = run_job(needs.jobs, Address("feed", "events"), [sys.executable, "-m", "streamapp", "feed"],
                     {**hubs, "FEED_SPEC": json.dumps(spec)}, needs.broker.client_environment("send"),
                     Context(progress, lambda: False))
    if as_json:
        out(json.dumps({"event": "Fed", **result}) + "\n")
    else:
        from engine.render.words import facts

        if sys.stderr.isatty():
            say("")
        out(f"Fed: {facts(result)}\n")


def _refuse_what_would_be_ignored(orders: str | None, ledger: str | None, synthetic: int | None,
                                  shares: dict[str, Any]) -> None:
    if (orders is None) != (ledger is None):
        raise click.UsageError("--orders and --ledger go together.")
    if orders is not None and synthetic is not None:
        raise click.UsageError("Feed files (--orders, --ledger) or --synthetic events, not both.")
    faults = [f"--{name.replace('_', '-')}" for name, share in shares.items() if name != "seed" and share]
    if synthetic is None and faults:
        raise click.UsageError(f"{', '.join(faults)} need --synthetic N: files are fed as they are.")


def _own_source(manifest: Manifest) -> Any:
    if manifest.load.source is None:
        raise Refused([error("no-source", "The manifest names no load source to feed from.",
                             mend="Give --orders and --ledger, or --synthetic N.", position=manifest.where("load"))])
    return manifest.load.source
