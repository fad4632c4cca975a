"""How tests of guardrails make a plan: of a manifest in a folder, held against live states that they lay out.

Owns no case. Must not reach anything live.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from engine.kinds.base import discover
from engine.load import load_manifest
from engine.model.address import Address
from engine.model.evidence import Promotion
from engine.model.manifest import Reprocess
from engine.model.observation import LiveState, Observation
from engine.model.plan import Making, Plan
from engine.model.verdict import Outcome, Override
from engine.planning import guardrails
from engine.planning.graph import Graph, compile_graph
from engine.planning.planner import make_plan
from tests.support.live import declared

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KIM: Mapping[str, Any] = {
    "project": "txlookup", "team": "team4", "owner": "kim", "env": "dev", "ttl": "2026-12-31", "target": "local",
    "profile": "cloud-test"}


def graph_of(folder: Path, **values: Any) -> tuple[Any, Graph]:
    """The manifest KIM with `values` laid over it, and its graph."""
    path = folder / "manifest.yaml"
    path.write_text(yaml.safe_dump({**KIM, **values}), encoding="utf-8")
    manifest, found = load_manifest(path, today=NOW.date())
    assert manifest is not None, found
    return manifest, compile_graph(manifest, discover())


def planned(folder: Path, live: Mapping[str, Mapping[str, Any]] | None = None, *, destroy: bool = False,
            recreate: bool = False, overrides: tuple[Override, ...] = (),
            seen: Mapping[Address, Observation] | None = None, built: bool = True,
            promotion: Promotion | None = None, reprocess: Reprocess | None = None, **values: Any) -> Plan:
    """The plan of an environment that is as its manifest says, but for `live` (address to attributes and notes laid
    over) and `seen` (whole observations); with `built` false nothing exists."""
    manifest, _ = graph_of(folder, **values)
    manifest = replace(manifest, reprocess=reprocess)
    graph = compile_graph(manifest, discover())
    by_address = {a: declared(s) if built else Observation(a, False) for a, s in graph.steps.items()}
    for name, other in (live or {}).items():
        address = Address.parse(name)
        found = by_address[address]
        by_address[address] = replace(
            found, attributes={**found.attributes, **other.get("attributes", {})},
            notes={**found.notes, **other.get("notes", {})}, exists=other.get("exists", found.exists))
    state = LiveState({**by_address, **(seen or {})})
    return make_plan(manifest, graph, state, discover(), guardrails.discover(),
                     Making(NOW, timedelta(days=1), "kim", "laptop", "0.1.0", overrides), destroy=destroy,
                     recreate=recreate, promotion=promotion)


def codes(plan: Plan, outcome: Outcome = Outcome.BLOCK) -> set[str]:
    """The codes of what the plan's guardrails block, or say with another outcome."""
    return {v.diagnostic.code for v in plan.verdicts if v.outcome is outcome and v.diagnostic is not None}


def evidence(plan: Plan, name: str) -> str:
    """All that the guardrail `name` says it looked at."""
    return "\n".join(v.evidence for v in plan.verdicts if v.name == name)


