"""Carries a rotation out, stage after stage, told and journalled as an apply is.

Owns the order of events and how a stage's restart goes through the same executor as an apply's step. Must not: decide
stages, print, or prompt.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from engine.applying.executor import Failure, run_change
from engine.applying.journal import Journal
from engine.kinds.base import Kind
from engine.kinds.rotating import Rotation
from engine.model.address import Address
from engine.model.change import Action, Change
from engine.model.diagnostic import Refused, error
from engine.model.event import (
    ApplyFinished,
    ApplyStarted,
    Event,
    Finish,
    StepFailed,
    StepProgress,
    StepStarted,
    StepSucceeded,
)
from engine.model.step import Step
from engine.providers.base import Capabilities, Context, Progress


def bring(address: Address, steps: Mapping[Address, Step], kinds: Mapping[str, Kind], capabilities: Capabilities,
          context: Context) -> None:
    """Bring one step up to date and wait until it serves; raises Failure. What is so already is left alone, and what
    would have to be destroyed for it: no guardrail has judged that."""
    step, kind = steps[address], kinds[address.kind]
    seen = kind.observe(step, capabilities)
    decision = kind.decide(step, seen, {})
    if decision.action.destroys:
        raise Failure(error("rotation-destroys", f"{address} would be destroyed for what the manifest says otherwise.",
                            "A rotation changes a secret and nothing else.", "Apply the manifest first, then rotate.",
                            address=address), 3)
    if decision.action is not Action.NOOP:
        run_change(Change(address, decision.action, step.spec, frozenset(), seen.digest, seen.attributes,
                          decision.reasons, decision.diffs), kind, capabilities, context)


def carry_out(rotation: Rotation, environment: str, journal: Journal, tell: Callable[[Event], None],
              stop: threading.Event) -> int:
    """Do all stages; the exit code: 0, 130 where it was stopped, else the failure's."""
    began, run = time.monotonic(), f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"

    def emit(event: Event) -> None:
        journal.append(event)
        tell(event)

    emit(ApplyStarted(_now(), run, f"rotate {rotation.secret}", environment, len(rotation.stages)))
    code = done = 0
    for number, stage in enumerate(rotation.stages, 1):
        if stop.is_set():
            code = 130
            break
        address, at = Address("rotate", f"{number}-{stage.name}"), time.monotonic()
        emit(StepStarted(_now(), address, stage.action))
        try:
            stage.run(Context(_progress(address, emit), stop.is_set))
        except (Failure, Refused) as problem:
            failure = problem if isinstance(problem, Failure) else Failure(
                problem.diagnostics[0], problem.exit_code, interrupted=stop.is_set())
            emit(StepFailed(_now(), address, stage.action, _since(at), failure.diagnostic, failure.interrupted))
            code = 130 if failure.interrupted else failure.exit_code
            break
        emit(StepSucceeded(_now(), address, stage.action, _since(at)))
        done += 1
    finish = Finish.SUCCEEDED if code == 0 else Finish.INTERRUPTED if code == 130 else Finish.FAILED
    failed = int(finish is Finish.FAILED)
    emit(ApplyFinished(_now(), run, finish, _since(began), done, failed, len(rotation.stages) - done - failed))
    return code


def _progress(address: Address, emit: Callable[[Event], None]) -> Callable[[Progress], None]:
    return lambda p: emit(StepProgress(_now(), address, p.done, p.total, p.unit, p.eta_s, p.note))


def _now() -> datetime:
    return datetime.now(UTC)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
