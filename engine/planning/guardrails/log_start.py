"""P6.5: the log still begins before the offsets at which the stream starts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from engine.kinds import wiring
from engine.model.change import Action
from engine.model.diagnostic import error
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.guardrails.verdicts import blocked, change_of, listed, passed


class LogStart:
    """See the module. The cutover step looks again before it writes anything, and the backfill while it runs."""

    rule = "P6.5"
    name = "log-start"
    meaning = "The log still holds everything that the stream has to read, from its start offsets on."
    overridable = False

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """Blocks a fixed T whose start offsets the log may have dropped."""
        change, seen = change_of(plan, wiring.CUTOVER), live.by_address.get(wiring.CUTOVER)
        if plan.destroy or change is None or change.action is not Action.RUN:
            yield passed(self, "no new start offsets are taken")
            return
        if not change.spec["at"]:
            yield passed(self, "the stream starts at the log's end, and nothing of it is dropped yet")
            return
        lost: Any = seen.notes.get("lost") if seen is not None else None
        if not lost:
            yield passed(self, "there is no log to look at yet" if lost is None
                         else "every partition reaches back to T less the skew allowance")
            return
        evidence = f"T less the skew allowance lies before the log: {listed(lost)}"
        yield blocked(self, evidence, error(
            "log-start", "The log does not reach back to T less Δ.",
            f"{evidence}; what the stream must read may be gone.",
            "Take a later cutover.at, and a source that covers what is before it; or leave cutover.at out.",
            position=change.positions.get("at") or change.source, rule=self.rule))


GUARDRAIL = LogStart()
