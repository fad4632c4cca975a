"""P6.3: the instant that divides backfill from stream is in UTC, and has come."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from engine.kinds import wiring
from engine.model.change import Action
from engine.model.diagnostic import error
from engine.model.duration import spoken
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.guardrails.verdicts import blocked, change_of, passed


class CutoverTime:
    """See the module. The cutover step asks the broker's clock before it writes anything."""

    rule = "P6.3"
    name = "cutover-time"
    meaning = "T is an instant that has come: the source can be read up to it."
    overridable = False

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """Blocks a fixed T that lies further ahead than clocks may differ."""
        change = change_of(plan, wiring.CUTOVER)
        if plan.destroy or change is None or change.action is not Action.RUN:
            yield passed(self, "no T is taken")
            return
        if not change.spec["at"]:
            yield passed(self, "T will be the broker's time when the cutover is taken")
            return
        at = datetime.fromisoformat(str(change.spec["at"])).astimezone(UTC)
        skew = timedelta(seconds=float(str(change.spec["skew_s"])))
        if at <= now + skew:
            yield passed(self, f"T is {at:%Y-%m-%dT%H:%M:%SZ}, {spoken(max(now - at, timedelta()))} ago")
            return
        evidence = f"T {at:%Y-%m-%dT%H:%M:%SZ} is {spoken(at - now)} ahead; clocks may differ by {spoken(skew)}"
        yield blocked(self, evidence, error(
            "cutover-in-future", f"T {at:%Y-%m-%dT%H:%M:%SZ} has not come yet.",
            f"{evidence}. The source cannot be read up to an instant that has not come.",
            "Take an earlier cutover.at, in UTC (a local time is often meant), or leave it out.",
            position=change.positions.get("at") or change.source, rule=self.rule))


GUARDRAIL = CutoverTime()
