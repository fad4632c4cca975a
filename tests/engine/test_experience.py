"""What earlier runs took is told from the journal: the median of the last ones that did something."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from engine.applying.experience import RECENT, experience
from engine.applying.journal import Journal
from engine.model.address import Address
from engine.model.change import Action
from engine.model.event import StepSucceeded
from engine.model.value import Attributes
from tests.support.filekind import FileKind, change, plan_of

A, B = Address("file", "a"), Address("backfill", "source")


def _ran(journal: Journal, address: Address, action: Action, seconds: float, result: Attributes) -> None:
    journal.append(StepSucceeded(datetime.now(UTC), address, action, seconds, result))


def test_the_median_of_what_did_something(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    for seconds in (100.0, 1.0, 2.0, 3.0, 4.0, 50.0):
        _ran(journal, A, Action.CREATE, seconds, {})
    _ran(journal, A, Action.CREATE, 0.0, {"already": True})
    _ran(journal, A, Action.DELETE, 9.0, {})
    for seconds, rows in ((2.0, 100), (4.0, 100), (0.0, 0)):
        _ran(journal, B, Action.RUN, seconds, {"read": rows})
    found = experience(journal)
    assert RECENT == 5 and found[(A, Action.CREATE)].seconds == 3.0
    assert found[(A, Action.DELETE)].seconds == 9.0 and found[(A, Action.DELETE)].rows_per_s is None
    assert found[(B, Action.RUN)].rows_per_s == 37.5
    assert experience(Journal(tmp_path / "none.jsonl")) == {}


def test_a_plan_takes_its_longest_chain() -> None:
    kind = FileKind(Path("/nonexistent"))
    a, b, c, d = (Address("file", name) for name in "abcd")
    plan = plan_of(replace(change(kind, "a", {}), expected_s=2.0), replace(change(kind, "b", {}), expected_s=5.0),
                   replace(change(kind, "c", {}, frozenset({a})), expected_s=4.0),
                   change(kind, "d", {}, frozenset({c})))
    assert plan.expected() == (6.0, 1)
    assert {a, b, c, d} == set(plan.waits())
