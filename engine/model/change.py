"""Changes: what a plan does to one step, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from engine.model.address import Address, Position
from engine.model.diagnostic import Diagnostic
from engine.model.value import Attributes, Value


class Action(StrEnum):
    """What is done. RUN is for steps that do work rather than hold state (migrate, backfill, smoke, gate); WAIT is
    for a step that cannot be read until its dependency answers: it is decided again then, and nothing is destroyed."""

    NOOP = "no-op"
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    RUN = "run"
    WAIT = "wait"

    @property
    def destroys(self) -> bool:
        """Whether something that exists is gone afterwards."""
        return self in (Action.DELETE, Action.REPLACE)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a change is in the plan. It explains; it never decides."""

    code: str
    text: str
    position: Position | None = None
    because_of: Address | None = None


@dataclass(frozen=True, slots=True)
class Diff:
    """One value that differs. `before` and `after` may be UNKNOWN; `replaces` where it cannot change in place."""

    path: str
    before: Value
    after: Value
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """A kind's answer for one step: the action, what differs, why, and what a reader should know about it."""

    action: Action
    reasons: tuple[Reason, ...] = ()
    diffs: tuple[Diff, ...] = ()
    details: Attributes = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan: complete, so that apply never reads the manifest."""

    address: Address
    action: Action
    spec: Attributes
    waits_for: frozenset[Address]
    before_digest: str
    before: Attributes | None
    """What was observed, so that a move can be told; None where it did not exist or could not be read."""

    reasons: tuple[Reason, ...] = ()
    diffs: tuple[Diff, ...] = ()
    details: Attributes = field(default_factory=dict)
    source: Position | None = None
    positions: Mapping[str, Position] = field(default_factory=dict)
    drift: tuple[Diff, ...] = ()
    """What was changed outside since it was last applied: each value as applied (`before`) and live (`after`)."""

    expected_s: float | None = None
    """How long it takes by experience; None where there is none."""
