"""What a second plan does otherwise: each kind of difference is found, and what neither touches is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.model.change import Action, Change
from engine.model.diagnostic import error
from engine.model.plan import Plan
from engine.model.verdict import Outcome, Verdict
from engine.planning.comparison import compare
from engine.render.comparison_text import render
from engine.render.paint import plain
from tests.e2e.stage import Stage
from tests.guardrails.judging import planned
from tests.support.filekind import FileKind, change, plan_of


def _change(name: str, action: Action, spec: dict[str, int], before: dict[str, int] | None = None) -> Change:
    made = change(FileKind(Path("/nonexistent")), name, spec)
    return replace(made, action=action, before=before)


def test_the_same_plan_is_no_difference() -> None:
    plan = plan_of(_change("a", Action.UPDATE, {"n": 1}, {"n": 0}), _change("b", Action.NOOP, {"n": 1}))
    other = replace(plan, made_by="lee", live_digest="1" * 64)
    assert not compare(plan, other)
    assert {d.path for d in compare(plan, other).about} == {"made_by", "live"}
    assert "Both plans do the same." in render(compare(plan, other), plain)


def _first() -> Plan:
    return plan_of(_change("a", Action.UPDATE, {"n": 1}, {"n": 0}), _change("b", Action.NOOP, {"n": 1}),
                   _change("c", Action.CREATE, {"n": 1}), _change("d", Action.NOOP, {"n": 1}, {"n": 1}))


def test_each_difference_is_named() -> None:
    first = _first()
    second = replace(first, changes=(
        _change("a", Action.UPDATE, {"n": 2}, {"n": 9}), _change("b", Action.REPLACE, {"n": 1}),
        _change("d", Action.NOOP, {"n": 5}, {"n": 5}), _change("e", Action.RUN, {})),
        verdicts=(Verdict("P1", "rail", Outcome.BLOCK, "seen", diagnostic=error("x", "y")),))
    found = compare(first, second)
    assert {(s.address.name, s.first, s.second) for s in found.steps} == {
        ("a", Action.UPDATE, Action.UPDATE), ("b", Action.NOOP, Action.REPLACE), ("c", Action.CREATE, None),
        ("e", None, Action.RUN)}
    [a] = [s for s in found.steps if s.address.name == "a"]
    assert [(d.before, d.after) for d in (*a.declared, *a.live)] == [(1, 2), (0, 9)]
    assert [(v.name, v.first, v.second) for v in found.verdicts] == [("rail", None, Outcome.BLOCK)]
    shown = render(found, plain)
    assert all(f"file.{name}" in shown for name in "abce") and "file.d" not in shown and "rail" in shown


def test_the_command(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {}, tmp_path / "state")
    a, b = str(tmp_path / "a.json"), str(tmp_path / "b.json")
    stage.plan("--out", a)
    stage.plan("--out", b)
    same = stage.run("diff", a, b, "--detailed-exitcode")
    assert (same.code, "Both plans do the same." in same.out) == (0, True)
    stage.write(hubs={"ledger": {"retention": "4d"}})
    stage.plan("--out", b)
    result = stage.run("diff", a, b, "--detailed-exitcode", "--json")
    [found] = result.events
    assert result.code == 2
    [step] = found["steps"]
    assert (step["address"], [d["path"] for d in step["declared"]]) == ("resource.hub-ledger", ["retention_hours"])


def test_what_is_built_anew_is_compared_too(tmp_path: Path) -> None:
    destroying, recreating = planned(tmp_path, destroy=True), planned(tmp_path, recreate=True)
    found = compare(destroying, recreating)
    assert {(d.path, d.before, d.after) for d in found.about} >= {("recreate", False, True)}
    assert {(str(s.address), s.first, s.second) for s in found.steps} >= {
        ("resource.group", None, Action.CREATE), ("cutover.stream", None, Action.RUN)}
    assert not compare(recreating, planned(tmp_path, recreate=True))
