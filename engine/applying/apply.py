"""Apply: a plan carried out in topological order, many steps at once, told as events.

Owns threads, the order of events and a clean stop. Events are journalled and emitted from one thread, in the order in
which they happened; a step begins when the journal has it on the disk. Must not: read the manifest, print, or prompt.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from engine.applying.executor import Failure, run_change, stale
from engine.applying.journal import Journal
from engine.applying.scheduler import Scheduler
from engine.kinds.at_once import at_once
from engine.kinds.base import Kind
from engine.model.address import Address
from engine.model.change import Change
from engine.model.diagnostic import Diagnostic, Refused, error
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
from engine.model.plan import Plan
from engine.model.value import Attributes
from engine.providers.base import Capabilities, Context, Progress


@dataclass(frozen=True, slots=True)
class _Done:
    """How one change ended."""

    change: Change
    seconds: float
    result: Attributes | Failure


def refuse_stale(plan: Plan, plan_name: str, kinds: Mapping[str, Kind], capabilities: Capabilities,
                 journal: Journal, *, from_nothing: bool = False) -> None:
    """Refuse (exit code 5) a plan that was applied already, is no longer valid, or where anything it would touch has
    moved; nothing is touched.

    What an interrupted run of this very plan has started is its own doing and no reason to refuse. `from_nothing` is
    for a plan that has removed its environment before: what is in a server cannot be read where there is none.
    """
    past = journal.past(plan_name)
    if past.succeeded:
        raise Refused([error("plan-applied", "This plan was applied already; a plan is applied once.",
                             mend="Plan again.")], exit_code=5)
    if _now() >= plan.valid_until:
        raise Refused([error("plan-expired", f"This plan was valid until {plan.valid_until:%Y-%m-%dT%H:%M:%SZ}.",
                             f"{plan.made_by} made it on {plan.made_on} at {plan.created_at:%Y-%m-%dT%H:%M:%SZ}.",
                             "Plan again, and have it reviewed again.")], exit_code=5)
    listed = [c for c in plan.pending if c.address not in past.started]

    def one(change: Change) -> tuple[Diagnostic, ...]:
        try:
            found = stale(change, kinds[change.address.kind], capabilities, from_nothing=from_nothing)
        except Refused as refused:
            return refused.diagnostics
        return (found,) if found else ()

    problems = [d for found in at_once(one, listed) for d in found]
    if problems:
        raise Refused(problems, exit_code=5)


class Apply:
    """One run of one plan."""

    def __init__(self, plan: Plan, plan_name: str, kinds: Mapping[str, Kind], capabilities: Capabilities,
                 journal: Journal, emit: Callable[[Event], None], stop: threading.Event, parallelism: int) -> None:
        self._plan, self._plan_name = plan, plan_name
        self._kinds, self._capabilities = kinds, capabilities
        self._journal, self._out, self._stop = journal, emit, stop
        self._parallelism = parallelism
        self._inbox: queue.Queue[Event | _Done] = queue.Queue()
        self._changes = {c.address: c for c in plan.pending}
        self._scheduler = Scheduler(plan.waits())
        self._untold: list[Event] = []
        self._failures: list[Failure] = []
        self._succeeded = self._skipped = self._running = 0
        self._run = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"

    def run(self) -> tuple[ApplyFinished, int]:
        """Carry the plan out; the closing event and the exit code (0, 1, 3, 4, 5 or 130)."""
        began, run = time.monotonic(), self._run
        self._untold.append(ApplyStarted(_now(), run, self._plan_name, self._plan.environment.name, len(self._changes),
                                         self._plan.overrides))
        with ThreadPoolExecutor(self._parallelism, thread_name_prefix="step") as pool:
            self._start_ready(pool)
            while self._running:
                for message in self._heard():
                    if isinstance(message, _Done):
                        self._finish(message)
                    else:
                        self._untold.append(message)
                self._start_ready(pool)
        for address in self._scheduler.remaining():
            self._skip(address, None)
        finish, code = self._outcome()
        closing = ApplyFinished(_now(), run, finish, round(time.monotonic() - began, 3), self._succeeded,
                                len(self._failures), self._skipped)
        self._untold.append(closing)
        self._tell()
        return closing, code

    def _heard(self) -> Iterator[Event | _Done]:
        """All that has come in; waits for something, but not for long, so that the main thread hears signals."""
        with contextlib.suppress(queue.Empty):
            yield self._inbox.get(timeout=0.2)
            while True:
                yield self._inbox.get_nowait()

    def _tell(self) -> None:
        """Everything since the last time to the journal, then to whoever looks on: many events with one sync, for the
        disk's sync is what bounds an apply of many small steps."""
        told, self._untold = self._untold, []
        self._journal.append(*told)
        for event in told:
            self._out(event)

    def _start_ready(self, pool: ThreadPoolExecutor) -> None:
        starting: list[Change] = []
        while self._running < self._parallelism and not self._stop.is_set():
            address = self._scheduler.next()
            if address is None:
                break
            change = self._changes[address]
            self._running += 1
            self._untold.append(StepStarted(_now(), address, change.action))
            starting.append(change)
        self._tell()
        for change in starting:
            pool.submit(self._carry_out, change)

    def _carry_out(self, change: Change) -> None:
        """In a worker's thread: everything it has to say goes through the inbox."""

        def progress(p: Progress) -> None:
            self._inbox.put(StepProgress(_now(), change.address, p.done, p.total, p.unit, p.eta_s, p.note))

        began = time.monotonic()
        result: Attributes | Failure
        try:
            result = run_change(change, self._kinds[change.address.kind], self._capabilities,
                                Context(progress, self._stop.is_set, self._run))
        except Failure as failure:
            result = failure
        self._inbox.put(_Done(change, round(time.monotonic() - began, 3), result))

    def _finish(self, done: _Done) -> None:
        self._running -= 1
        change = done.change
        if not isinstance(done.result, Failure):
            self._succeeded += 1
            self._untold.append(StepSucceeded(_now(), change.address, change.action, done.seconds, done.result))
            self._scheduler.succeed(change.address)
            return
        self._failures.append(done.result)
        self._untold.append(StepFailed(_now(), change.address, change.action, done.seconds, done.result.diagnostic,
                                       done.result.interrupted))
        for blocked in self._scheduler.fail(change.address):
            self._skip(blocked, change.address)

    def _skip(self, address: Address, because: Address | None) -> None:
        self._skipped += 1
        self._untold.append(StepSkipped(_now(), address, because))

    def _outcome(self) -> tuple[Finish, int]:
        codes = [f.exit_code for f in self._failures]
        if self._stop.is_set() and (self._skipped or any(f.interrupted for f in self._failures)):
            return Finish.INTERRUPTED, 130
        if not codes:
            return Finish.SUCCEEDED, 0
        if set(codes) == {4}:
            return Finish.GATE_FAILED, 4
        return Finish.FAILED, next((c for c in codes if c not in (4, 130)), 1)


def _now() -> datetime:
    return datetime.now(UTC)
