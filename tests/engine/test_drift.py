"""Drift: what is claimed, and what is not: nothing without a record, nothing of what an apply left half-way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.applying.executor import Failure, run_change
from engine.model.address import Address
from engine.model.change import Change
from engine.model.observation import Observation
from engine.model.value import Attributes
from engine.planning.drift import GONE, drift_of
from engine.providers.base import Capabilities, Context
from engine.providers.local.applied import AppliedRecords
from engine.providers.local.home import Home
from tests.support.filekind import ENVIRONMENT, FileKind, change

A = Address("file", "a")
CONTEXT = Context(lambda _: None, lambda: False)


def _seen(**values: Attributes | int) -> Observation:
    return Observation(A, True, values)


def test_only_what_was_kept_is_compared() -> None:
    assert drift_of(_seen(n=1, filled_by_the_server=7), {"n": 1}) == ()
    [found] = drift_of(_seen(n=2, other=1), {"n": 1})
    assert (found.path, found.before, found.after) == ("n", 1, 2)
    assert drift_of(_seen(n=2), None) == ()
    assert drift_of(_seen(n=1), {"n": 1.0, "none": None}) == ()


def test_what_is_gone_and_what_cannot_be_read() -> None:
    assert [d.path for d in drift_of(Observation(A, False), {"n": 1})] == [GONE]
    assert drift_of(Observation(A, True, unreadable="down"), {"n": 1}) == ()


class Breaking(FileKind):
    """Dies half-way, as a killed apply does."""

    def apply(self, change: Change, capabilities: Capabilities, context: Context) -> Attributes:
        self.path(change.address).write_text(json.dumps({"n": -1}))
        raise OSError("half-way")


def test_an_apply_keeps_what_it_left(tmp_path: Path) -> None:
    home = Home(ENVIRONMENT, tmp_path / "state")
    kept = AppliedRecords(home)
    capabilities = Capabilities({}, None, applied=kept)  # type: ignore[arg-type]
    run_change(change(FileKind(tmp_path), "a", {"n": 1}), FileKind(tmp_path), capabilities, CONTEXT)
    assert kept.get("file.a") is None, "an environment that is not there keeps nothing"
    home.create("rg", {})
    try:
        run_change(change(FileKind(tmp_path), "a", {"n": 2}), FileKind(tmp_path), capabilities, CONTEXT)
        assert kept.get("file.a") == {"n": 2}
        with pytest.raises(Failure):
            run_change(change(FileKind(tmp_path), "a", {"n": 3}), Breaking(tmp_path), capabilities, CONTEXT)
        assert kept.get("file.a") is None, "what is half-way is nobody's drift"
    finally:
        home.remove()
