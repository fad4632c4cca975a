"""Plans from files: a case is a folder with a manifest, a live state and the plan that must come of them.

`live.yaml`: `base` is `nothing` or `declared` (everything as the manifest says), `steps` says what is otherwise,
`orphans` lists owned resources that nobody declares, `overrides` maps guardrails to reasons, `destroy` asks for the way
back, `recreate` for that and a new build, `prune` for orphans to go,
`only` and `exclude` for a part, `now` is the clock. Every case has the plan as text; those where looks matter
have it in the other formats too.
`reprocess` asks for a second reading of the log.
TXPLAN_UPDATE=1 writes the plans anew; read them before you commit them.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.kinds.base import discover
from engine.load import load_manifest
from engine.load.prices import load_prices
from engine.model.address import Address
from engine.model.change import Action
from engine.model.manifest import Reprocess
from engine.model.observation import LiveState, Observation
from engine.model.plan import Experience, Making, Plan
from engine.model.step import Step
from engine.model.verdict import Override
from engine.planning import guardrails
from engine.planning.graph import compile_graph
from engine.planning.planfile import load_plan, save_plan
from engine.planning.planner import make_plan
from engine.planning.selection import Selection
from engine.render import renderer
from engine.render.paint import plain
from tests.support.live import declared

CASES = sorted(p.parent for p in (Path(__file__).parent / "cases").glob("*/manifest.yaml"))


def _observe(step: Step, live: dict[str, Any]) -> Observation:
    seen = declared(step) if live["base"] == "declared" else Observation(step.address, False)
    other = (live.get("steps") or {}).get(str(step.address))
    if other is None:
        return seen
    if other.get("exists") is False:
        return Observation(step.address, False, notes=other.get("notes", {}))
    return replace(seen, exists=True, attributes={**seen.attributes, **other.get("attributes", {})},
                   notes={**seen.notes, **other.get("notes", {})}, unreadable=other.get("unreadable", ""))


def _orphan(given: dict[str, Any]) -> Observation:
    """`type` and `name`; the other keys are what is read of it."""
    read = {key: value for key, value in given.items() if key != "type"}
    return Observation(Address("resource", f"{given['type']}:{given['name']}"), True, read,
                       {"type": given["type"], "name": given["name"], "foreign": []})


def _plan(case: Path) -> Plan:
    live = yaml.safe_load((case / "live.yaml").read_text(encoding="utf-8"))
    manifest, found = load_manifest(case / "manifest.yaml", today=date(2026, 1, 1))
    assert manifest is not None, found
    manifest = replace(manifest, file="manifest.yaml",
                       reprocess=Reprocess.parse(live["reprocess"]) if "reprocess" in live else None)
    kinds = discover()
    graph = compile_graph(manifest, kinds)
    state = LiveState({a: _observe(s, live) for a, s in graph.steps.items()},
                      tuple(_orphan(o) for o in live.get("orphans", [])),
                      applied={Address.parse(a): values for a, values in (live.get("applied") or {}).items()})
    now = datetime.fromisoformat(live.get("now", "2026-01-02T00:00:00+00:00")).astimezone(UTC)
    overrides = tuple(Override(name, reason) for name, reason in (live.get("overrides") or {}).items())
    return make_plan(manifest, graph, state, kinds, guardrails.discover(),
                     Making(now, timedelta(days=1), "kim", "laptop", "0.1.0", overrides, _history(live),
                            load_prices()),
                     destroy=bool(live.get("destroy")), recreate=bool(live.get("recreate")),
                     prune=bool(live.get("prune")),
                     selection=Selection(tuple(live.get("only", [])), tuple(live.get("exclude", []))))


def _history(live: dict[str, Any]) -> dict[tuple[Address, Action], Experience]:
    """`history` maps `address action` to seconds, and rows a second."""
    found = {}
    for key, (seconds, rate) in (live.get("history") or {}).items():
        address, action = key.split()
        found[(Address.parse(address), Action(action))] = Experience(seconds, rate)
    return found


FORMATS = {"text": "plan.txt", "markdown": "plan.md", "html": "plan.html", "json": "plan.json"}


def _text(plan: Plan, case: Path, format_: str = "text") -> str:
    """The plan as text; digests of the code, and the folder of this checkout, are no part of a case."""
    text = renderer("plan", format_)(plan, plain)
    if format_ == "json":
        text = json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n"
    text = re.sub(r"\b[0-9a-f]{64}\b", "<sha256>", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "<revision>", text)
    for root in (case, Path(__file__).parents[2]):
        text = text.replace(f"{root}{os.sep}", "").replace(f"{os.path.relpath(root)}{os.sep}", "")
    return text


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_case(case: Path, tmp_path: Path) -> None:
    plan = _plan(case)
    assert plan == _plan(case), "two plans of the same inputs are the same"
    save_plan(plan, tmp_path / "plan.json")
    loaded = load_plan(tmp_path / "plan.json")
    for format_, name in FORMATS.items():
        text, golden = _text(plan, case, format_), case / name
        assert _text(loaded, case, format_) == text, "a saved plan says the same"
        if os.environ.get("TXPLAN_UPDATE") and (golden.exists() or format_ == "text"):
            golden.write_text(text, encoding="utf-8")
        assert format_ != "text" or golden.exists()
        if golden.exists():
            assert text == golden.read_text(encoding="utf-8")


def test_every_format_has_golden_files() -> None:
    for name in FORMATS.values():
        assert len([c for c in CASES if (c / name).exists()]) >= 4
