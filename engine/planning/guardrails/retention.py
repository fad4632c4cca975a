"""P6.5: what the hubs keep covers the age of T, the skew allowance and the recovery buffer."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from engine.kinds import wiring
from engine.model.change import Action
from engine.model.diagnostic import error
from engine.model.duration import spoken
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.guardrails.verdicts import blocked, change_of, passed


class Retention:
    """See the module. The cutover step checks it again, on live offsets, before it writes anything."""

    rule = "P6.5"
    name = "retention"
    meaning = "Events are kept longer than backfill and recovery can take, so that the stream has no hole."
    overridable = False

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """Blocks a cutover whose stream would begin before what the hubs still keep."""
        change = change_of(plan, wiring.CUTOVER)
        if change is None or change.action is not Action.RUN:
            yield passed(self, "this plan takes no new cutover")
            return
        spec: Any = change.spec
        age = max(now - datetime.fromisoformat(spec["at"]), timedelta()) if spec["at"] else timedelta()
        skew, buffer = timedelta(seconds=spec["skew_s"]), timedelta(seconds=spec["recovery_buffer_s"])
        needed, kept = age + skew + buffer, timedelta(seconds=spec["retention_s"])
        evidence = (f"age of T {spoken(age)} + skew {spoken(skew)} + recovery buffer "
                    f"{spoken(buffer)} = {spoken(needed)}; the hubs keep {spoken(kept)}")
        if needed < kept:
            yield passed(self, evidence)
            return
        yield blocked(self, evidence, error(
            "retention", f"The hubs keep {spoken(kept)}; the cutover needs {spoken(needed)}.", evidence,
            "Raise hubs.*.retention, or take a later cutover.at.", position=change.source, rule=self.rule))


GUARDRAIL = Retention()
