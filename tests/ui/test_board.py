"""Steps as a run brings them on, pages of 30,000 of them, and a journal that is followed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.applying.follow import Follower
from engine.model.address import Address
from engine.model.change import Action
from engine.model.diagnostic import error
from engine.model.event import ApplyFinished, ApplyStarted, Finish, StepFailed, StepSkipped, StepStarted, StepSucceeded
from engine.planning.planfile import plan_id, save_plan
from tests.support.filekind import ENVIRONMENT
from tests.ui.stage import NOW, Page, State, named, tree


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path, [ENVIRONMENT])


def states(page: Page, query: str = "size=200") -> dict[str, str]:
    return {r["address"]: r["state"] for r in page.json(f"/api/environments/dev-kim/steps?{query}")["rows"]}


def fresh(state: State, part: str = "run") -> Any:
    """Without what a page has asked before."""
    return Page(state.reader()).json(f"/api/environments/dev-kim/{part}")


def test_steps_of_a_run_that_lives_that_was_killed_and_that_ended(state: State) -> None:
    plan = state.plan(*tree(6))
    with state.lock():
        state.begin(plan, 1, 2)
        page = Page(state.reader())
        assert states(page) == {"file.f00000": "done", "file.f00001": "running", "file.f00002": "running",
                                "file.f00003": "waiting", "file.f00004": "waiting", "file.f00005": "waiting"}
        run = page.json("/api/environments/dev-kim/run")
        assert run["run"]["alive"] and run["lock"]["purpose"] == "apply"
        assert "file.f00001" in page.json("/api/environments/dev-kim/step?address=file.f00004")["says"]
    assert fresh(state)["counts"] == {"done": 1, "stopped": 2, "skipped": 3}
    failed = error("gate-fail", "It does not hold.", "why", "mend it")
    state.journal().append(
        StepFailed(NOW, named(1), Action.CREATE, 1.5, failed), StepSkipped(NOW, named(4), named(1)),
        StepSucceeded(NOW, named(2), Action.CREATE, 1.0, {"rows": 7}),
        StepFailed(NOW, named(3), Action.CREATE, 0.1, failed, interrupted=True), StepSkipped(NOW, named(5), None),
        ApplyFinished(NOW, "r1", Finish.FAILED, 3.0, 2, 1, 2))
    page = Page(state.reader())
    assert states(page) == {"file.f00001": "failed", "file.f00003": "stopped", "file.f00004": "skipped",
                            "file.f00005": "skipped", "file.f00000": "done", "file.f00002": "done"}
    assert next(iter(states(page))) == "file.f00001"
    step = page.json("/api/environments/dev-kim/step?address=file.f00001")
    assert step["diagnostic"] == {"code": "gate-fail", "summary": "It does not hold.", "detail": "why",
                                  "mend": "mend it"}
    assert page.json("/api/environments/dev-kim/step?address=file.f00002")["result"] == {"rows": "7"}
    assert "file.f00001" in page.json("/api/environments/dev-kim/step?address=file.f00004")["says"]


def test_a_plan_that_nobody_applied_is_planned_whatever_ran_before(state: State) -> None:
    state.begin(state.plan(*tree(3)), 3, 0)
    still = replace(tree(2)[0], action=Action.NOOP)
    state.plan(still, tree(2)[1])
    run = fresh(state)
    assert not run["matches"] and not run["shows_run"] and run["counts"] == {"unchanged": 1, "planned": 1}
    assert run["runs"][0]["succeeded"] == 3


def test_a_run_of_another_plan_is_shown_while_it_lives(state: State) -> None:
    state.begin(state.plan(*tree(4)), 1, 1)
    state.plan(*tree(2))
    with state.lock():
        run = fresh(state)
    assert run["shows_run"] and not run["matches"] and run["counts"] == {"done": 1, "running": 1}


def test_the_second_part_of_a_plan_that_destroys_and_builds(state: State) -> None:
    gone = tuple(replace(c, action=Action.DELETE, waits_for=frozenset()) for c in tree(2))
    plan = replace(state.plan(*gone), destroy=True, rebuild=tree(3))
    save_plan(plan, state.folder / "plans" / "dev-kim.json")
    state.begin(plan, 2, 0, "-remove")
    assert fresh(state)["counts"] == {"done": 2}
    state.journal().append(ApplyStarted(NOW, "r2", f"{plan_id(plan)}-build", "dev-kim", 3),
                           StepStarted(NOW, named(0), Action.CREATE))
    with state.lock():
        assert fresh(state)["counts"] == {"running": 1, "waiting": 2}


def test_a_picture_where_it_can_be_seen_and_stages_where_not(state: State) -> None:
    state.plan(*tree(4))
    run = fresh(state)
    assert len(run["picture"]["nodes"]) == 4 and ["file.f00000", "file.f00003"] in run["picture"]["edges"]
    assert [(b["from"], b["to"], b["total"]) for b in run["bands"]] == [(1, 1, 1), (2, 2, 3)]
    many = tree(300)
    state.plan(*(replace(c, action=Action.NOOP) for c in many[:290]), *many[290:])
    run = fresh(state)
    assert len(run["picture"]["nodes"]) == 10 and run["picture"]["left_out"] == 290
    state.plan(*many)
    assert fresh(state)["picture"] is None
    chain = [replace(c, waits_for=frozenset({named(n - 1)} if n else ())) for n, c in enumerate(many)]
    state.plan(*chain)
    bands = fresh(state)["bands"]
    assert len(bands) <= 40 and sum(b["total"] for b in bands) == 300 and bands[-1]["to"] == 300


def test_thirty_thousand_steps_come_in_pages(many: State) -> None:
    with many.lock():
        page = Page(many.reader())
        run = page.ask("/api/environments/dev-kim/run")
        assert run.json["counts"] == {"done": 17_000, "running": 8, "waiting": 12_992}
        assert run.json["picture"] is None and len(run.json["bands"]) == 11 and len(run.content) < 20_000
        first = page.ask("/api/environments/dev-kim/steps")
        assert first.json["total"] == 30_000 and len(first.json["rows"]) == 30 and len(first.content) < 20_000
        assert {r["state"] for r in first.json["rows"][:8]} == {"running"}
        seen: set[str] = set()
        for number in range(10, 151, 10):
            seen |= set(states(page, f"page={number}&size=200"))
        assert len(seen) == 15 * 200  # None is on two pages.
        beyond = page.json("/api/environments/dev-kim/steps?page=99999")
        assert beyond["page"] == beyond["pages"] == 1000
        assert states(page, "text=f29999") == {"file.f29999": "waiting"}
        assert len(states(page, "state=running,failed")) == 8
        assert states(page, "kind=gate") == {}


def test_what_a_journal_gained_is_all_that_is_read_of_it(state: State) -> None:
    plan = state.plan(*tree(2000))
    state.begin(plan, 1900, 0)
    path = state.folder / "journal" / "dev-kim.jsonl"
    follower = Follower(path)
    follower.read()
    assert follower.runs[-1].succeeded == 1900
    calls = 0

    def heard(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    state.journal().append(StepSucceeded(NOW, Address("file", "new"), Action.CREATE, 1.0))
    sys.setprofile(heard)
    try:
        follower.read()
    finally:
        sys.setprofile(None)
    assert follower.runs[-1].succeeded == 1901 and calls < 200
    with path.open("a") as file:
        file.write('{"event": "StepSucceeded", "address": "file.half", "sec')
        file.flush()
        follower.read()
        assert "file.half" not in follower.steps
        file.write('onds": 1}\n')
    follower.read()
    assert follower.steps["file.half"].state == "done"
    path.unlink()
    follower.read()
    assert follower.runs == [] and follower.steps == {}
    state.begin(plan, 1, 0)
    follower.read()
    assert follower.runs[-1].succeeded == 1
