"""P6.5: what the hubs keep covers the age of T, the skew allowance and the recovery buffer."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from engine.model.change import Action
from engine.model.diagnostic import error
from engine.model.duration import spoken
from engine.model.manifest import Manifest
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Outcome, Verdict


class Retention:
    """See the module. The cutover step checks it again, on live offsets, before it writes anything."""

    rule = "P6.5"
    name = "retention"
    meaning = "Events are kept longer than backfill and recovery can take, so that the stream has no hole."

    def judge(self, plan: Plan, manifest: Manifest, live: LiveState) -> Iterable[Verdict]:
        """Blocks a cutover whose stream would begin before what the hubs still keep."""
        if not any(c.address.kind == "cutover" and c.action is Action.RUN for c in plan.changes):
            yield Verdict(self.rule, self.name, Outcome.PASS, "no cutover is taken")
            return
        cut = manifest.cutover
        age = max(plan.created_at - cut.at, timedelta()) if cut.at else timedelta()
        needed, kept = age + cut.skew + cut.recovery_buffer, min(h.retention for h in manifest.hubs)
        evidence = (f"age of T {spoken(age)} + skew {spoken(cut.skew)} + recovery buffer "
                    f"{spoken(cut.recovery_buffer)} = {spoken(needed)}; the hubs keep {spoken(kept)}")
        if needed < kept:
            yield Verdict(self.rule, self.name, Outcome.PASS, evidence)
            return
        yield Verdict(self.rule, self.name, Outcome.BLOCK, evidence, diagnostic=error(
            "retention", f"The hubs keep {spoken(kept)}; the cutover needs {spoken(needed)}.", evidence,
            "Raise hubs.*.retention, or take a later cutover.at.", position=manifest.where("cutover"), rule=self.rule))


GUARDRAIL = Retention()
