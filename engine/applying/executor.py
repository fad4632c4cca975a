"""Executor: carries out one change, and holds it against the live environment first.

Owns: when a plan is stale, when a change is already so, and how long ready may take. The one place where an exception
becomes a diagnostic.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from dataclasses import replace

from engine.kinds.base import Kind
from engine.kinds.jobs import Interrupted
from engine.model.address import Address
from engine.model.change import Action, Change
from engine.model.diagnostic import Diagnostic, Refused, error
from engine.model.difference import differences, in_words
from engine.model.observation import Observation
from engine.model.step import Step
from engine.model.value import Attributes
from engine.providers.base import Capabilities, Context, Progress

_POLL_S = 0.2


class Failure(Exception):
    """A change that did not succeed: why, with which exit code, and whether it was told to stop."""

    def __init__(self, diagnostic: Diagnostic, exit_code: int = 1, *, interrupted: bool = False) -> None:
        self.diagnostic = diagnostic
        self.exit_code = exit_code
        self.interrupted = interrupted
        super().__init__(diagnostic.summary)


def stale(change: Change, kind: Kind, capabilities: Capabilities, *, from_nothing: bool = False) -> Diagnostic | None:
    """What has moved since the plan was made, or None; a change that is already so is not stale, and nor is the
    deletion of what cannot be read, or `from_nothing` the making of it: that is decided again when its turn comes."""
    if change.action in (Action.NOOP, Action.WAIT):
        return None
    seen = _observe(change, kind, capabilities)
    if seen.unreadable and (from_nothing or change.action is Action.DELETE):
        return None
    if seen.digest == change.before_digest or _decided(change, seen, kind) is Action.NOOP:
        return None
    return _stale(change, seen)


def run_change(change: Change, kind: Kind, capabilities: Capabilities, context: Context) -> Attributes:
    """Carry out a change and wait until it serves; its figures. Raises Failure, and nothing else."""
    try:
        due = _still_due(change, kind, capabilities)
        kept = capabilities.applied
        if kept and due is not None:
            # Before it moves: what a kill leaves half-way is nobody's drift.
            kept.drop(str(change.address))
        result = {"already": True} if due is None else kind.apply(due, capabilities, context)
        # Also what is already so: the group that starts again starts its servers, and they take their time.
        _wait_ready(change, kind, capabilities, context)
        if kept and change.action is not Action.DELETE and not kind.proves:
            seen = _observe(change, kind, capabilities)
            values = {key: seen.attributes[key] for key in sorted(change.spec) if key in seen.attributes}
            if values and seen.exists and not seen.unreadable:
                kept.put(str(change.address), values)
        return result
    except Interrupted as stopped:
        raise Failure(error("interrupted", f"{change.address} was told to stop.", mend="Apply again to go on.",
                            address=change.address), 130, interrupted=True) from stopped
    except Refused as refused:
        if context.cancelled():
            raise Failure(refused.diagnostics[0], 130, interrupted=True) from refused
        raise Failure(_one(refused.diagnostics, change.address), refused.exit_code) from refused
    except Exception as bug:
        where = traceback.extract_tb(bug.__traceback__)[-1]
        raise Failure(error("bug", f"{change.address} failed in a way txplan did not expect: {type(bug).__name__}.",
                            f"{bug} (at {where.name}, line {where.lineno})", "Please report it with this text.",
                            address=change.address)) from bug


def _still_due(change: Change, kind: Kind, capabilities: Capabilities) -> Change | None:
    """The change as live asks for it now; None where live has become what it asks for.

    What was replaced by an earlier run of the plan is not replaced twice: it is what is decided now. A move that would
    destroy what the plan does not destroy is refused. A proof that the plan asks for is always taken: an older one was
    about what has just been changed.
    """
    if kind.proves and change.action is Action.RUN:
        return change
    seen = _observe(change, kind, capabilities)
    if seen.digest == change.before_digest and change.action is not Action.WAIT:
        return change
    decided = _decided(change, seen, kind)
    if decided.destroys and not change.action.destroys:
        raise Refused([_stale(change, seen)], exit_code=5)
    if seen.notes.get("trouble") and change.action is not Action.DELETE:
        raise Refused([error("cannot-decide", f"{change.address} cannot be brought to what was planned.",
                             f"{seen.notes['trouble']}.", "Mend that, and apply again.", address=change.address)])
    if decided is Action.NOOP:
        return None
    return replace(change, action=decided) if change.action is Action.REPLACE else change


def _observe(change: Change, kind: Kind, capabilities: Capabilities) -> Observation:
    """The live state. What is to be deleted need not be readable: going back to nothing is the way out of that."""
    try:
        return kind.observe(_step(change), capabilities)
    except Refused as refused:
        if change.action is not Action.DELETE:
            raise
        return Observation(change.address, exists=True, unreadable=refused.diagnostics[0].summary)


def _decided(change: Change, seen: Observation, kind: Kind) -> Action:
    if change.action is Action.DELETE:
        return kind.decide_delete(seen).action
    if seen.unreadable:
        return change.action
    return kind.decide(_step(change), seen, _NOTHING_UPSTREAM).action


_NOTHING_UPSTREAM: Mapping[Address, Action] = {}


def _step(change: Change) -> Step:
    return Step(change.address, change.spec, change.waits_for, source=change.source, positions=change.positions)


def _stale(change: Change, seen: Observation) -> Diagnostic:
    return error("stale-plan", f"{change.address} is no longer as it was when the plan was made.", _moved(change, seen),
                 "Plan again and read what has moved.", address=change.address)


def _moved(change: Change, seen: Observation) -> str:
    """How it moved since the plan was made: each value then and now."""
    if seen.unreadable:
        return f"It cannot be read now: {seen.unreadable}."
    if not seen.exists:
        return "It was there, and is gone."
    if change.before is None:
        return "It was not there, or could not be read, and is there now."
    return "\n".join(map(in_words, differences(change.before, seen.attributes)))


def _wait_ready(change: Change, kind: Kind, capabilities: Capabilities, context: Context) -> None:
    """Applied and ready are two things: poll until it serves, saying what it waits for."""
    until = time.monotonic() + kind.ready_seconds
    said: str | None = None
    while (waiting := kind.ready(change, capabilities)) is not None:
        if context.cancelled():
            raise Interrupted
        if time.monotonic() > until:
            raise Refused([error("not-ready", f"{change.address} was applied but is not ready after "
                                 f"{kind.ready_seconds:.0f} s.", f"It still waits: {waiting}.",
                                 "Look at its log, mend the cause, and apply again.", address=change.address)])
        if waiting != said:
            context.emit(Progress(note=f"waits: {waiting}"))
            said = waiting
        time.sleep(_POLL_S)


def _one(diagnostics: tuple[Diagnostic, ...], address: Address) -> Diagnostic:
    """One diagnostic of several: the first, with the others in its detail."""
    first, *others = diagnostics
    if not others:
        return first
    return error(first.code, first.summary, "; ".join([first.detail, *(d.summary for d in others)]).strip("; "),
                 first.mend, position=first.position, address=first.address or address, rule=first.rule)


