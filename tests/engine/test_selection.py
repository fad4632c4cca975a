"""A part of a plan: sound whatever is chosen, complete in what it says of the rest, and obeyed by apply."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.applying.apply import Apply
from engine.applying.journal import Journal
from engine.model.address import Address
from engine.model.change import Action, Change
from engine.model.diagnostic import Refused
from engine.model.event import Event, StepSucceeded
from engine.model.plan import Plan
from engine.planning.selection import EVERYTHING, Selection, select
from engine.providers.base import Capabilities
from tests.e2e.stage import Stage
from tests.support.filekind import FileKind, change, plan_of

KIND = FileKind(Path("/nonexistent"))


def _step(name: str, waits_for: frozenset[Address] = frozenset(), *, idle: bool = False) -> Change:
    made = change(KIND, name, {"n": 1}, waits_for)
    return replace(made, action=Action.NOOP) if idle else made


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A random acyclic plan, some steps of which do nothing."""
    size = draw(st.integers(1, 15))
    nodes = [Address("file", f"n{i:02}") for i in range(size)]
    return plan_of(*(_step(node.name, frozenset(draw(st.sets(st.sampled_from(nodes[:i]), max_size=3))) if i
                           else frozenset(), idle=draw(st.booleans())) for i, node in enumerate(nodes)))


@given(plans(), st.data())
def test_any_part_is_sound_and_complete(plan: Plan, data: st.DataObject) -> None:
    names = st.lists(st.sampled_from([str(c.address) for c in plan.changes]), max_size=4, unique=True)
    selection = Selection(tuple(data.draw(names)), tuple(data.draw(names)))
    part, waits = select(plan, selection), plan.waits()
    kept = {c.address for c in part.pending}
    for address in kept:
        assert waits[address] <= kept, "what is done has all that it waits for"
        assert str(address) not in selection.exclude
    if selection == EVERYTHING:
        assert part == plan
        return
    assert part.scope is not None
    left = {o.address for o in part.scope.left_out}
    assert kept | left == set(waits) and not kept & left
    chosen = {str(c.address) for c in part.pending} - {str(a) for a in part.scope.pulled_in}
    assert not selection.only or chosen <= set(selection.only)
    assert {a for a in waits if str(a) in selection.only} - kept <= left
    assert part.waits().keys() == kept


def test_what_is_left_out_says_why() -> None:
    a, b = Address("file", "a"), Address("file", "b")
    plan = plan_of(_step("a"), _step("b", frozenset({a})), _step("c", frozenset({b})), _step("d"))
    part = select(plan, Selection(exclude=("file.a",)))
    assert part.scope is not None
    assert [(o.address.name, o.because_of) for o in part.scope.left_out] == [("a", None), ("b", a), ("c", a)]
    part = select(plan, Selection(only=("file.b",)))
    assert part.scope is not None and part.scope.pulled_in == (a,)
    assert [o.address.name for o in part.scope.left_out] == ["c", "d"]
    assert len(select(plan, Selection(only=("file.*",))).pending) == 4


def test_a_pattern_that_fits_nothing_is_an_error() -> None:
    with pytest.raises(Refused) as caught:
        select(plan_of(_step("abc")), Selection(only=("file.abd",), exclude=("gate.*",)))
    assert [d.code for d in caught.value.diagnostics] == ["unknown-step", "unknown-step"]
    assert "file.abc" in caught.value.diagnostics[0].mend


def test_apply_obeys(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    kind = FileKind(folder)
    a = Address("file", "a")
    plan = select(plan_of(change(kind, "a", {"n": 1}), change(kind, "b", {"n": 1}, frozenset({a})),
                          change(kind, "c", {"n": 1})), Selection(only=("file.b",)))
    events: list[Event] = []
    _, code = Apply(plan, "p", {"file": kind}, Capabilities({}, None),  # type: ignore[arg-type]
                    Journal(tmp_path / "j.jsonl"), events.append, threading.Event(), 4).run()
    assert code == 0
    assert [e.address.name for e in events if isinstance(e, StepSucceeded)] == ["a", "b"]
    assert sorted(p.name for p in folder.iterdir()) == ["a.json", "b.json"]


def test_the_command(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {}, tmp_path / "state")
    plan = stage.plan("--only", "resource.vault").plan
    assert {c["address"] for c in plan["changes"] if c["action"] != "no-op"} == {"resource.vault", "resource.group"}
    assert plan["scope"]["pulled_in"] == ["resource.group"]
    result = stage.plan("--exclude", "app.apu")
    assert (result.code, result.codes) == (1, {"unknown-step"})
