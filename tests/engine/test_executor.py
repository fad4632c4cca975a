"""The executor against a live thing in memory: what is still due, what is stale, what is never done twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from engine.applying.executor import Failure, run_change, stale
from engine.model.address import Address
from engine.model.change import Action, Change, Decision
from engine.model.observation import Observation
from engine.providers.base import Capabilities, Context

HERE = Address("thing", "one")
NOW = Context(emit=lambda _: None, cancelled=lambda: False)
CAPABILITIES = Capabilities({}, None)  # type: ignore[arg-type]


class Thing:
    """A kind whose one step has a size that cannot change in place, a colour that can, and may be down."""

    name, proves, ready_seconds = "thing", False, 1.0

    def __init__(self, live: dict[str, Any] | None) -> None:
        self.live = live
        self.done: list[Action] = []

    def observe(self, step: Any, capabilities: Any) -> Observation:
        return Observation(HERE, self.live is not None, dict(self.live or {}))

    def decide(self, step: Any, seen: Observation, upstream: Mapping[Address, Action]) -> Decision:
        if not seen.exists:
            return Decision(Action.CREATE)
        if seen.attributes["size"] != step.spec["size"]:
            return Decision(Action.REPLACE)
        same = seen.attributes["colour"] == step.spec["colour"] and not seen.attributes.get("down")
        return Decision(Action.NOOP if same else Action.UPDATE)

    def decide_delete(self, seen: Observation) -> Decision:
        return Decision(Action.DELETE if seen.exists else Action.NOOP)

    def apply(self, change: Change, capabilities: Any, context: Context) -> dict[str, Any]:
        self.done.append(change.action)
        self.live = None if change.action is Action.DELETE else dict(change.spec)
        return {}

    def ready(self, change: Change, capabilities: Any) -> str | None:
        return None


def _planned(action: Action, live: dict[str, Any] | None, **spec: Any) -> Change:
    seen = Observation(HERE, live is not None, dict(live or {}))
    return Change(HERE, action, spec, frozenset(), seen.digest, live)


OLD = {"size": 1, "colour": "red"}


def test_a_change_whose_live_side_has_not_moved_is_carried_out() -> None:
    kind: Any = Thing(OLD)
    run_change(_planned(Action.REPLACE, OLD, size=2, colour="red"), kind, CAPABILITIES, NOW)
    assert kind.done == [Action.REPLACE]


def test_what_was_replaced_is_not_replaced_twice() -> None:
    """The replacement was done by a run that was killed, and the new one is down."""
    kind: Any = Thing({"size": 2, "colour": "red", "down": True})
    run_change(_planned(Action.REPLACE, OLD, size=2, colour="red"), kind, CAPABILITIES, NOW)
    assert kind.done == [Action.UPDATE]


def test_what_is_already_so_is_left_alone() -> None:
    kind: Any = Thing({"size": 1, "colour": "blue"})
    change = _planned(Action.UPDATE, OLD, size=1, colour="blue")
    assert stale(change, kind, CAPABILITIES) is None
    assert run_change(change, kind, CAPABILITIES, NOW) == {"already": True}
    assert kind.done == []


def test_a_plan_that_does_not_destroy_never_does() -> None:
    kind: Any = Thing({"size": 9, "colour": "red"})
    change = _planned(Action.UPDATE, OLD, size=1, colour="blue")
    found = stale(change, kind, CAPABILITIES)
    assert found is not None
    assert found.code == "stale-plan"
    with pytest.raises(Failure) as failed:
        run_change(change, kind, CAPABILITIES, NOW)
    assert (failed.value.exit_code, kind.done) == (5, [])


def test_a_step_that_waited_is_decided_by_what_is_read_now() -> None:
    kind: Any = Thing({"size": 9, "colour": "red"})
    with pytest.raises(Failure) as failed:
        run_change(_planned(Action.WAIT, None, size=1, colour="red"), kind, CAPABILITIES, NOW)
    assert (failed.value.exit_code, kind.done) == (5, [])
    again: Any = Thing(OLD)
    assert run_change(_planned(Action.WAIT, None, **OLD), again, CAPABILITIES, NOW) == {"already": True}


def test_a_bug_is_told_as_one() -> None:
    class Broken(Thing):
        def apply(self, change: Change, capabilities: Any, context: Context) -> dict[str, Any]:
            raise KeyError("x")

    kind: Any = Broken(None)
    with pytest.raises(Failure) as failed:
        run_change(_planned(Action.CREATE, None, **OLD), kind, CAPABILITIES, NOW)
    assert failed.value.diagnostic.code == "bug"
