"""`txplan reconcile`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from engine.cli.common import json_option, open_target, out, painter, say, specs_of
from engine.model.address import Address
from engine.model.diagnostic import Refused, error

if TYPE_CHECKING:
    from engine.kinds.base import Needs
    from engine.providers.base import Context

_EPILOG = """\b
Examples:
  txplan reconcile dev-kim                         0 equal, 4 they differ
  txplan reconcile manifests/dev-kim.yaml --json   a line a sample, then the counts
  txplan reconcile dev-kim --repair                shows what is missing or stale, asks, and writes exactly that
"""
_ADDRESS = Address("reconcile", "source")


@click.command(epilog=_EPILOG)
@click.argument("env")
@click.option("--repair", is_flag=True, help="Write the missing and the stale rows, after asking; never remove any.")
@click.option("--auto-approve", is_flag=True, help="Repair without asking.")
@click.option("--samples", type=click.IntRange(0, 1000), default=5, show_default=True,
              help="How many rows of each class to show.")
@json_option
@click.pass_context
def command(ctx: click.Context, env: str, repair: bool, auto_approve: bool, samples: int, as_json: bool) -> None:
    """Compare the source with the store, row by row where they differ: missing, extra, stale, diverged.

    Both databases hash; only what differs is fetched. Records that the stream has not applied yet are no difference.
    ENV is a manifest, or the name of an environment that was planned here.
    """
    if auto_approve and not repair:
        raise click.UsageError("--auto-approve belongs to --repair.")
    from engine.kinds.base import Needs
    from engine.kinds.reconciling import Asked

    environment, specs = specs_of(env)
    source, live = _source(env, specs)
    capabilities = open_target(environment)
    needs, asked = Needs(capabilities), Asked(live, samples)
    found = _compare(needs, source, asked, as_json=as_json)
    mendable = sum(t[name] for t in found["tables"].values() for name in ("missing", "stale"))
    if repair and mendable:
        _approve(found, mendable, auto_approve=auto_approve, as_json=as_json)
        try:
            with capabilities.lock.acquire("repair"):
                _compare(needs, source, Asked(live, 0, found["digest"]), as_json=as_json, event="Repaired")
        except Refused as refused:
            if refused.diagnostics[0].code != "stale-plan":
                raise
            raise Refused([replace(refused.diagnostics[0], mend="Reconcile again, and read what has moved.")],
                          exit_code=5) from refused
        found = _compare(needs, source, asked, as_json=as_json)
    elif repair and not as_json:
        say("There is nothing that a repair would write.")
    ctx.exit(4 if found["differences"] else 0)


def _source(env: str, specs: Mapping[str, Mapping[str, Any]]) -> tuple[Mapping[str, Any], bool]:
    gate = specs.get("gate.reconcile", {})
    if "source" not in gate:
        raise Refused([error("no-source", f"Nothing says from which source {env} was filled.",
                             "The manifest names no backfill.source, or the last plan was one to destroy or of a part.",
                             "Name the manifest: txplan reconcile MANIFEST")])
    source = gate["source"]
    assert isinstance(source, Mapping)
    return source, bool(gate["source_is_live"])


def _compare(needs: Needs, source: Mapping[str, Any], asked: Any, *, as_json: bool,
             event: str = "Reconciled") -> Mapping[str, Any]:
    """Run it and show what it finds; its result."""
    from engine.kinds.reconciling import reconcile
    from engine.render import reconcile_text

    shown: list[Mapping[str, Any]] = []

    def difference(found: Mapping[str, Any]) -> None:
        shown.append(found)
        if as_json:
            out(json.dumps({**found, "event": "Difference"}, ensure_ascii=False) + "\n")

    with _context() as context:
        result = reconcile(needs, source, asked, context, address=_ADDRESS, on_difference=difference)
    if as_json:
        out(json.dumps({"event": event, **result}, ensure_ascii=False) + "\n")
    elif event == "Repaired":
        out(reconcile_text.repaired(result, painter()))
    else:
        out(reconcile_text.compared(result, shown, painter()))
    return result


@contextmanager
def _context() -> Iterator[Context]:
    """Progress on one line of a terminal, and a clean stop on Ctrl-C (exit code 130)."""
    from engine.cli.running import stopping
    from engine.kinds.jobs import Interrupted
    from engine.providers.base import Context, Progress
    from engine.render.live import progress_words

    lively = sys.stderr.isatty()

    def tell(p: Progress) -> None:
        if lively:
            sys.stderr.write(f"\r\x1b[K{progress_words(p)}")
            sys.stderr.flush()

    try:
        with stopping() as stop:
            yield Context(tell, stop.is_set)
    except Interrupted:
        raise Refused([error("interrupted", "It was told to stop; nothing was left half done.")],
                      exit_code=130) from None
    finally:
        if lively:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _approve(found: Mapping[str, Any], mendable: int, *, auto_approve: bool, as_json: bool) -> None:
    from engine.cli.running import ask
    from engine.render import reconcile_text

    if as_json:
        plan = {t: {name: books[name] for name in ("missing", "stale")} for t, books in found["tables"].items()}
        out(json.dumps({"event": "RepairPlan", "rows": mendable, "tables": plan, "digest": found["digest"]}) + "\n")
    else:
        out(reconcile_text.plan(found, painter()))
    if not auto_approve:
        ask("Write these rows?", "Add --auto-approve.")
