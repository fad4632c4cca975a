"""Four times the steps are about four times the work, all along the road: what is counted is calls, never time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.applying.apply import Apply, refuse_stale
from engine.applying.journal import Journal
from engine.load import load_manifest
from engine.model.address import Address
from engine.model.change import Action
from engine.model.event import Event
from engine.model.plan import Making, Plan
from engine.model.step import Step
from engine.planning import guardrails
from engine.planning.graph import Graph, assemble
from engine.planning.observe import observe
from engine.planning.planfile import load_plan, plan_id, save_plan
from engine.planning.planner import make_plan
from engine.planning.recheck import recheck
from engine.planning.selection import Selection, select
from engine.providers.base import Capabilities
from engine.render import formats, graph_svg, renderer
from engine.render.live import LiveView
from engine.render.paint import plain
from tests.support.filekind import FileKind

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FEW, MANY = 60, 240
LIMIT = 6.0
"""Four times as many steps are 4 times the work, with N log N 5.4 times, and 16 times where each step looks at all."""

Shape = Callable[[int], int]
SHAPES: dict[str, Shape] = {"tree": lambda number: (number - 1) // 3, "chain": lambda number: number - 1}
NOTHING = Capabilities({}, None)  # type: ignore[arg-type]


def calls(work: Callable[[], Any]) -> tuple[int, Any]:
    """How many functions the work calls in this thread, and its result."""
    count = 0

    def heard(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(heard)
    try:
        result = work()
    finally:
        sys.setprofile(None)
    return count, result


def address(number: int) -> Address:
    return Address("file", f"f{number:04}")


class Road:
    """The whole road for some steps; each stretch's calls in `counted`."""

    def __init__(self, size: int, shape: Shape, folder: Path) -> None:
        self.counted: dict[str, int] = {}
        self.folder, self.kinds = folder, {"file": FileKind(folder / "files")}
        (folder / "files").mkdir(parents=True)
        self.manifest, _ = load_manifest(Path("manifests/dev-kim.yaml"), today=date(2026, 6, 1))
        self.rails = guardrails.discover()
        self.steps = [Step(address(n), {"content": f"version {n}"},
                           frozenset({address(shape(n))} if n else ())) for n in range(size)]
        self.graph: Graph = self.count("compile", lambda: assemble(self.steps))
        self.plan("create")
        self.shown("create")
        self.apply()
        assert not self.plan("no change").pending
        self.kinds["file"].path(address(1)).unlink()
        again = self.plan("one deleted")
        assert [(c.address, c.action) for c in again.pending] == [(address(1), Action.CREATE)]
        self.plan("destroy", destroy=True)
        self.apply()
        assert not list((folder / "files").iterdir())

    def count(self, stretch: str, work: Callable[[], Any]) -> Any:
        self.counted[stretch], result = calls(work)
        return result

    def plan(self, what: str, *, destroy: bool = False) -> Plan:
        assert self.manifest is not None
        live = self.count(f"{what}: observe", lambda: observe(self.graph.ordered(), self.kinds, NOTHING))
        making = Making(NOW, timedelta(days=36_500), "kim", "laptop", "0.1.0")
        self.made: Plan = self.count(f"{what}: plan", lambda: make_plan(
            self.manifest, self.graph, live, self.kinds, self.rails, making, destroy=destroy))
        return self.made

    def shown(self, what: str) -> None:
        for format_ in formats("plan"):
            self.count(f"{what}: {format_}", lambda f=format_: renderer("plan", f)(self.made, plain))
        self.count("svg", lambda: graph_svg.render(self.graph.ordered()))
        self.count("select", lambda: select(self.made, Selection(only=("file.*",), exclude=("file.f0001",))))
        self.count("save", lambda: save_plan(self.made, self.folder / "plan.json"))
        assert self.count("read", lambda: load_plan(self.folder / "plan.json")) == self.made

    def apply(self) -> None:
        plan, name, journal = self.made, plan_id(self.made), Journal(self.folder / "journal.jsonl")
        view, events = LiveView(plan.waits(), colour=False), []

        def heard(event: Event) -> None:
            events.append(event)
            view(event)

        what = "destroy" if plan.destroy else "apply"
        self.count(f"{what}: recheck", lambda: recheck(plan, self.kinds, NOTHING, self.rails, NOW))
        self.count(f"{what}: stale", lambda: refuse_stale(plan, name, self.kinds, NOTHING, journal))
        run = Apply(plan, name, self.kinds, NOTHING, journal, heard, threading.Event(), parallelism=4)
        _, code = self.count(what, run.run)
        assert code == 0
        assert len(events) == 2 * len(plan.pending) + 2


@pytest.mark.parametrize("shape", SHAPES)
def test_the_work_grows_with_the_steps(shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few, many = (Road(size, SHAPES[shape], tmp_path / str(size)).counted for size in (FEW, MANY))
    grown = {stretch: round(many[stretch] / few[stretch], 1) for stretch in few}
    assert {stretch: factor for stretch, factor in grown.items() if factor > LIMIT} == {}, grown
