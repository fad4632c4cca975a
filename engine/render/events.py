"""Events of an apply, one line each: for people without a terminal, and as JSON for machines."""

from __future__ import annotations

import json
from typing import assert_never

from engine.model.codec import encode
from engine.model.duration import spoken
from engine.model.event import (
    ApplyFinished,
    ApplyStarted,
    Event,
    Finish,
    StepFailed,
    StepProgress,
    StepSkipped,
    StepStarted,
    StepSucceeded,
)
from engine.render import words
from engine.render.paint import Paint

FINISHES = {Finish.SUCCEEDED: ("Done", "good"), Finish.FAILED: ("Failed", "bad"),
            Finish.GATE_FAILED: ("A gate did not pass", "bad"), Finish.INTERRUPTED: ("Interrupted", "warn")}


def as_json(event: Event) -> str:
    """`{"event": …}` on one line."""
    return json.dumps({"event": type(event).__name__, **encode(event)}, ensure_ascii=False)


def as_line(event: Event, paint: Paint) -> str | None:
    """A line of a log, or None for what a log would only repeat (progress without news)."""
    match event:
        case ApplyStarted(run=run, steps=steps, environment=environment):
            return f"Applying {steps} {'step' if steps == 1 else 'steps'} to {environment} (run {run})"
        case StepStarted(address=address, action=action):
            return f"  {paint('start', 'dim')}  {address}: {action.value}"
        case StepProgress():
            return None
        case StepSucceeded(address=address, seconds=took):
            return f"  {paint('ok', 'good')}     {address} in {spoken(took)}{result(event)}"
        case StepFailed(address=address, seconds=took, diagnostic=found, interrupted=interrupted):
            if interrupted:
                return f"  {paint('stop', 'warn')}   {address} after {spoken(took)}; the next apply goes on from there"
            return f"  {paint('FAIL', 'bad')}   {address} after {spoken(took)}\n{words.diagnostic(found, paint)}"
        case StepSkipped(address=address, blocked_by=root):
            why = f"blocked by {root}" if root else "the run was stopped"
            return f"  {paint('skip', 'warn')}   {address} ({why})"
        case ApplyFinished(finish=finish, seconds=took, succeeded=ok, failed=failed, skipped=skipped):
            word, role = FINISHES[finish]
            return (f"{paint(word, role)} in {spoken(took)}: {ok} succeeded, {failed} failed, "
                    f"{skipped} skipped.")
        case _:
            assert_never(event)


def result(event: StepSucceeded) -> str:
    """What a step wants to say of its result: a gate's value, a job's rows."""
    if event.result.get("already"):
        return ", already so"
    says = event.result.get("says")
    return f": {says}" if says else ""
