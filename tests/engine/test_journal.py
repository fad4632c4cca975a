"""The journal: what is read back, torn lines, and what a plan's past is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from engine.applying.journal import Journal
from engine.model.address import Address
from engine.model.change import Action
from engine.model.event import ApplyFinished, ApplyStarted, Finish, StepProgress, StepStarted

NOW = datetime(2026, 1, 1, tzinfo=UTC)
A, B = Address("resource", "a"), Address("resource", "b")


def test_a_torn_line_spoils_itself_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j" / "x.jsonl")
    journal.append(ApplyStarted(NOW, "r1", "p1", "dev", 2))
    journal.append(StepStarted(NOW, A, Action.CREATE))
    with (tmp_path / "j" / "x.jsonl").open("a") as file:
        file.write('{"event": "StepStarted", "addr')
    journal.append(ApplyStarted(NOW, "r2", "p1", "dev", 2))
    journal.append(StepStarted(NOW, B, Action.CREATE))
    assert [e["event"] for e in journal.entries()] == ["ApplyStarted", "StepStarted", "ApplyStarted", "StepStarted"]
    assert journal.past("p1").started == {A, B}


def test_what_a_plan_started_is_forgotten_when_another_one_runs(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "x.jsonl")
    for run, plan in (("r1", "mine"), ("r2", "other")):
        journal.append(ApplyStarted(NOW, run, plan, "dev", 1))
        journal.append(StepStarted(NOW, A, Action.REPLACE))
    assert journal.past("mine").started == frozenset()


def test_another_plans_run_is_not_ours(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "x.jsonl")
    journal.append(ApplyStarted(NOW, "r1", "other", "dev", 1))
    journal.append(StepStarted(NOW, A, Action.CREATE))
    journal.append(ApplyFinished(NOW, "r1", Finish.SUCCEEDED, 1.0, 1, 0, 0))
    assert journal.past("mine").started == frozenset()
    assert not journal.past("mine").succeeded
    assert journal.past("other").succeeded


def test_progress_is_not_kept_and_the_file_is_private(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "x.jsonl")
    journal.append(StepProgress(NOW, A, 1, 2))
    assert list(journal.entries()) == []
    journal.append(StepStarted(NOW, A, Action.CREATE))
    assert (tmp_path / "x.jsonl").stat().st_mode & 0o777 == 0o600


def test_runs_are_told_with_their_ends(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "x.jsonl")
    journal.append(ApplyStarted(NOW, "r1", "p1", "dev\u2028x", 1))
    journal.append(StepStarted(NOW, A, Action.CREATE))
    with (tmp_path / "x.jsonl").open("a") as file:
        file.write('{"event"')
    journal.append(ApplyStarted(NOW, "r2", "p2", "dev", 1))
    journal.append(ApplyFinished(NOW, "r2", Finish.FAILED, 2.5, 0, 1, 0))
    assert [(r.run, r.finish, r.seconds) for r in journal.runs()] == [("r1", "", None), ("r2", "failed", 2.5)]
    assert journal.torn() == 1
