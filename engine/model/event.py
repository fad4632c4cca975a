"""Events of an apply: a closed union, in the order in which they happen."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from engine.model.address import Address
from engine.model.change import Action
from engine.model.diagnostic import Diagnostic
from engine.model.value import Attributes
from engine.model.verdict import Override


class Finish(StrEnum):
    """How an apply ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    GATE_FAILED = "gate-failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class ApplyStarted:
    """An apply began; `run` names it in the journal; `overrides` are the refusals that somebody answers for."""

    at: datetime
    run: str
    plan: str
    environment: str
    steps: int
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step's dependencies are done and it runs."""

    at: datetime
    address: Address
    action: Action


@dataclass(frozen=True, slots=True)
class StepProgress:
    """A step says how far it is: `done` of `total` in `unit`s, or what it waits for in `note`."""

    at: datetime
    address: Address
    done: int | None = None
    total: int | None = None
    unit: str = ""
    eta_s: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class StepSucceeded:
    """A step is applied and ready; `result` holds its figures, shown and kept."""

    at: datetime
    address: Address
    action: Action
    seconds: float
    result: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepFailed:
    """A step failed; `interrupted` where it was told to stop."""

    at: datetime
    address: Address
    action: Action
    seconds: float
    diagnostic: Diagnostic
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class StepSkipped:
    """A step did not start because of `blocked_by`, the root cause; None where the run was interrupted."""

    at: datetime
    address: Address
    blocked_by: Address | None


@dataclass(frozen=True, slots=True)
class ApplyFinished:
    """An apply ended."""

    at: datetime
    run: str
    finish: Finish
    seconds: float
    succeeded: int
    failed: int
    skipped: int


Event = ApplyStarted | StepStarted | StepProgress | StepSucceeded | StepFailed | StepSkipped | ApplyFinished
