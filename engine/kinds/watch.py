"""Watch: whether the log still covers what the stream will have to read, asked while the backfill runs (P6.5).

Owns the two questions: does the sum of ages and what is left to read still fit the retention, by the rate that this run
shows, and does the log still begin before the start offsets. Must not: stop anything but the job that asks it.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from engine.kinds.records import CutoverRecord
from engine.model.address import Address
from engine.model.diagnostic import Diagnostic, Refused, error
from engine.model.duration import spoken
from engine.model.value import Attributes
from engine.policy.retention import Need
from engine.providers.base import Broker, Context, Progress

LOOK_EVERY_S = 10.0
"""How often the log's start is asked for; the sum is made anew with every progress."""
STEADY_S = 3.0
"""For so long the sum has to be too large: the first rows of a run tell little of its rate."""


class Watch:
    """One run's watch. `cover` is {retention_s, recovery_buffer_s}; `remaining_s` what the plan expects."""

    def __init__(self, address: Address, record: CutoverRecord, cover: Attributes, broker: Broker, context: Context,
                 remaining_s: float | None) -> None:
        self._address, self._record, self._broker, self._context = address, record, broker, context
        self._kept, self._buffer = (timedelta(seconds=float(str(cover[k])))
                                    for k in ("retention_s", "recovery_buffer_s"))
        self._remaining_s = remaining_s
        self._looked = self._unfit_since = 0.0
        self.refusal: Diagnostic | None = None

    @property
    def context(self) -> Context:
        """The context for the job: it hears its progress, and stops it where the log cannot cover it any more."""
        return Context(self._heard, lambda: self._context.cancelled() or self.stopped())

    def check(self) -> None:
        """Before anything is read: raises Refused (exit code 3) where the log does not cover the run."""
        found = self._log_lost() if self._need().fits else self._outrun()
        if found is not None:
            raise Refused([found], exit_code=3)

    def stopped(self) -> bool:
        """Whether the run has to stop; `refusal` then says why."""
        if self.refusal is None:
            self.refusal = self._too_late() or self._log_lost()
        return self.refusal is not None

    def _heard(self, progress: Progress) -> None:
        self._remaining_s = self._remaining_s if progress.eta_s is None else progress.eta_s
        self._context.emit(progress)

    def _need(self) -> Need:
        remaining = None if self._remaining_s is None else timedelta(seconds=self._remaining_s)
        return Need(datetime.now(UTC) - self._record.t_cutover, self._record.skew, remaining, self._buffer, self._kept)

    def _too_late(self) -> Diagnostic | None:
        now = time.monotonic()
        if self._need().fits:
            self._unfit_since = 0.0
            return None
        self._unfit_since = self._unfit_since or now
        return self._outrun() if now - self._unfit_since >= STEADY_S else None

    def _outrun(self) -> Diagnostic:
        need = self._need()
        anew = Need(timedelta(), need.skew, None, need.buffer, need.kept)
        return error("retention-outrun", "The backfill would not be done before the hubs drop what the stream has to "
                     "read; it was stopped.",
                     f"{need.evidence}. All rows so far are kept, and nothing is half-written.",
                     f"Raise hubs.*.retention above {spoken(need.total)} and apply again: it goes on where it stopped. "
                     f"Otherwise the next apply takes a new cutover, under which the whole backfill has "
                     f"{spoken(max(anew.kept - anew.total, timedelta()))}.", address=self._address, rule="P6.5")

    def _log_lost(self) -> Diagnostic | None:
        if time.monotonic() - self._looked < LOOK_EVERY_S and self._looked:
            return None
        try:
            earliest = {p: o for topic in sorted({topic for topic, _ in self._record.start_offsets})
                        for p, o in self._broker.earliest_offsets(topic).items()}
        except Refused:  # A broker that is away for a moment has lost nothing; the next look tells.
            return None
        finally:
            self._looked = time.monotonic()
        lost = [f"{topic}/{number} begins at offset {earliest[topic, number]}, the stream at {offset}"
                for (topic, number), offset in sorted(self._record.start_offsets.items())
                if earliest.get((topic, number), 0) > offset]
        if not lost:
            return None
        return error("log-start", "The log has dropped events that the stream has to read; the backfill was stopped.",
                     f"{'; '.join(lost[:5])}. All rows so far are kept, and nothing is half-written.",
                     "Apply again: it takes a new cutover with a new group. Raise hubs.*.retention where that happens "
                     "again.", address=self._address, rule="P6.5")
