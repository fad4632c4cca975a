"""The board: the steps of a plan with the state that a run has brought each of them to. Pure.

Owns: which part of a plan a run is about, the states, and what is shown of many steps: counts by stage, and pages. Must
not: read anything; the plan and the run are given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any

from engine.applying.follow import RunLine, StepLine
from engine.model.address import Address
from engine.model.change import Action, Change
from engine.model.plan import Plan
from engine.model.step import Step
from engine.render import graph_svg, words

STATES = ("failed", "stopped", "running", "waiting", "planned", "skipped", "done", "unchanged")
"""All states, what asks for attention first. `stopped` was cut or told to stop; `planned` is not applied yet."""

PICTURED = 200
"""How many steps a picture can show and still be read."""

BANDS = 40
"""Into how many bands of stages a graph is summarised at most."""

PAGE = 30


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which steps of a board: in one of these states (any where empty), of this kind, whose address holds `text`."""

    states: frozenset[str] = frozenset()
    kind: str = ""
    text: str = ""
    page: int = 1
    size: int = PAGE


class Part:
    """A plan, or one of the two parts of a plan that destroys and builds: what stays as it is while it is applied."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.changes: dict[str, Change] = {str(c.address): c for c in plan.changes}

    @cached_property
    def stage(self) -> dict[str, int]:
        """How many steps stand before each one, along the longest chain."""
        waits = {a: [d for d in map(str, c.waits_for) if d in self.changes] for a, c in self.changes.items()}
        found: dict[str, int] = {}
        for address in TopologicalSorter(waits).static_order():
            found[address] = 1 + max((found[d] for d in waits[address]), default=-1)
        return found

    @cached_property
    def layout(self) -> tuple[dict[Address, tuple[int, float]], list[tuple[Address, Address]]] | None:
        """Places and arrows where the steps are few enough to be seen, else None; the unchanged ones are left out where
        that makes them so."""
        shown = {c.address: c.waits_for for c in self.plan.changes}
        if len(shown) > PICTURED >= len(self.plan.pending):
            shown = self.plan.waits()
        if not shown or len(shown) > PICTURED:
            return None
        return graph_svg.laid_out([Step(c.address, {}, frozenset(d for d in shown[c.address] if d in shown))
                                   for c in self.plan.changes if c.address in shown])


class Board:
    """The part of a plan that `run` carried out, the first one by default; `parts` is empty where only the run is
    known."""

    def __init__(self, parts: Sequence[Part], plan_name: str, run: RunLine | None, steps: Mapping[str, StepLine],
                 *, alive: bool) -> None:
        self._part = parts[-1 if run and run.plan == f"{plan_name}-build" else 0] if parts else None
        self.matches = run is not None and run.plan in (plan_name, f"{plan_name}-remove", f"{plan_name}-build")
        """Whether the newest run carried out this very plan."""
        self.shows_run = run is not None and (self.matches or alive or self._part is None)
        """Whether the states are the run's; else they are those of a plan that is not applied yet."""
        self.alive, self.run = alive, run
        self._steps = steps if self.shows_run else {}
        self._changes = self._part.changes if self._part else {}
        self.stage = self._part.stage if self._part else {}
        self._chosen: tuple[tuple[frozenset[str], str, str], list[str]] | None = None

    @cached_property
    def addresses(self) -> list[str]:
        """All steps: the plan's in its order, then those that the run alone knows."""
        return [*self._changes, *(a for a in self._steps if a not in self._changes)]

    @cached_property
    def states(self) -> dict[str, str]:
        """The state of each step."""
        return {address: self._state(address) for address in self.addresses}

    def _state(self, address: str) -> str:
        line, change = self._steps.get(address), self._changes.get(address)
        if line is not None:
            # A step that runs without a run that lives was cut with it.
            return "stopped" if line.state == "running" and not self.alive else line.state
        if change is None or change.action is Action.NOOP:
            return "unchanged"
        if not self.shows_run:
            return "planned"
        return "waiting" if self.alive else "skipped"

    @cached_property
    def counts(self) -> Counter[str]:
        """How many steps are in each state."""
        return Counter(self.states.values())

    def bands(self) -> list[dict[str, Any]]:
        """The graph in short, first stages first: {from, to, total, states, kinds}; at most BANDS of them."""
        stages = max(self.stage.values(), default=-1) + 1
        height = -(-stages // BANDS) or 1
        states: dict[int, Counter[str]] = {}
        kinds: dict[int, Counter[str]] = {}
        for address, stage in self.stage.items():
            states.setdefault(stage // height, Counter())[self.states[address]] += 1
            kinds.setdefault(stage // height, Counter())[address.partition(".")[0]] += 1
        return [{"from": band * height + 1, "to": min((band + 1) * height, stages), "total": states[band].total(),
                 "states": {s: states[band][s] for s in STATES if states[band][s]},
                 "kinds": dict(sorted(kinds[band].items()))} for band in sorted(states)]

    def picture(self) -> dict[str, Any] | None:
        """{left_out, nodes: [{address, stage, column, state}], edges: [[from, to]]} where it can be seen."""
        if self._part is None or self._part.layout is None:
            return None
        places, arrows = self._part.layout
        return {"left_out": len(self._changes) - len(places),
                "nodes": [{"address": str(a), "stage": places[a][0], "column": places[a][1],
                           "state": self.states[str(a)]} for a in places],
                "edges": [[str(a), str(b)] for a, b in arrows]}

    def page(self, wanted: Wanted) -> dict[str, Any]:
        """{total, page, pages, rows} of the chosen steps; what asks for attention first, then in the plan's order."""
        found = self._found(wanted)
        pages = max(1, -(-len(found) // wanted.size))
        page = min(max(1, wanted.page), pages)
        chosen = found[(page - 1) * wanted.size:page * wanted.size]
        return {"total": len(found), "page": page, "pages": pages, "rows": [self._row(a) for a in chosen]}

    def _found(self, wanted: Wanted) -> list[str]:
        """All chosen steps, sorted; kept, since the next page is most often of the same choice."""
        choice = wanted.states, wanted.kind, wanted.text
        if self._chosen is None or self._chosen[0] != choice:
            rank = {state: place for place, state in enumerate(STATES)}
            self._chosen = choice, sorted((a for a in self.addresses if self._is_wanted(a, wanted)),
                                          key=lambda a: rank[self.states[a]])
        return self._chosen[1]

    def _is_wanted(self, address: str, wanted: Wanted) -> bool:
        return ((not wanted.states or self.states[address] in wanted.states)
                and (not wanted.kind or address.partition(".")[0] == wanted.kind)
                and wanted.text in address)

    def _row(self, address: str) -> dict[str, Any]:
        line, change = self._steps.get(address), self._changes.get(address)
        state = self.states[address]
        return {"address": address, "state": state,
                "action": line.action if line and line.action else change.action.value if change else "",
                "stage": self.stage[address] + 1 if address in self.stage else None,
                "began": line.began if line and state == "running" else "", "seconds": line.seconds if line else None,
                "expected_s": change.expected_s if change else None, "says": self._says(address, state, line, change)}

    def _says(self, address: str, state: str, line: StepLine | None, change: Change | None) -> str:
        """The one sentence that a reader of the table needs."""
        if line and line.diagnostic:
            return str(line.diagnostic.get("summary", ""))
        if line and state == "skipped":
            return f"blocked by {line.blocked_by}" if line.blocked_by else "the run was stopped"
        if state in ("skipped", "stopped"):
            return f"its run ended without a word{' before it was reached' if state == 'skipped' else ' while it ran'}"
        if line and state == "done":
            return "already so" if line.result.get("already") else str(line.result.get("says") or "")
        if state == "waiting":
            return f"for {', '.join(self._open_waits(address))}" if self._open_waits(address) else "for its turn"
        return change.reasons[0].text if change and state == "planned" and change.reasons else ""

    def _open_waits(self, address: str) -> list[str]:
        waits = sorted(map(str, self._changes[address].waits_for)) if address in self._changes else []
        return [w for w in waits if self.states.get(w) in ("waiting", "running", "failed", "stopped")][:5]

    def kinds(self) -> dict[str, int]:
        """How many steps there are of each kind."""
        return dict(sorted(Counter(a.partition(".")[0] for a in self.addresses).items()))

    def one(self, address: str) -> dict[str, Any] | None:
        """Everything of one step: its row with reasons, values, what it waits for, its result and its failure."""
        if address not in self.states:
            return None
        line, change = self._steps.get(address), self._changes.get(address)
        return {**self._row(address), "result": dict(_facts(line.result)) if line else {},
                "diagnostic": {k: str(line.diagnostic.get(k) or "") for k in ("code", "summary", "detail", "mend")}
                if line and line.diagnostic else None,
                "reasons": [r.text for r in change.reasons] if change else [],
                "values": [[d.path, words.value(d.before), words.value(d.after)] for d in change.diffs]
                if change else [],
                "waits_for": [{"address": a, "state": self.states.get(a, "")}
                              for a in sorted(map(str, change.waits_for))] if change else []}


def _facts(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in result.items():
        yield str(key), words.value(value)
