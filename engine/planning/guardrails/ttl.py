"""P3.3: every environment says until when it lives; on that day somebody decides to extend or to destroy it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

from engine.kinds import wiring
from engine.model.diagnostic import error, warning
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.guardrails.verdicts import blocked, change_of, passed, warned

_NEAR_DAYS = 3


class Ttl:
    """See the module. An expired environment is destroyed at any time, and never built or changed."""

    rule = "P3.3"
    name = "ttl"
    meaning = "An environment past its ttl is extended or destroyed, never silently kept."
    overridable = False

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """Blocks building past the ttl, warns within three days of it."""
        ttl = plan.environment.tags["ttl"]
        left = (date.fromisoformat(ttl) - now.date()).days
        days = f"{abs(left)} day{'' if abs(left) == 1 else 's'}"
        evidence = f"ttl {ttl}, {days} {'left' if left >= 0 else 'ago'}"
        group = change_of(plan, wiring.GROUP)
        where = group.positions.get("tags") if group else None
        if plan.destroy or left > _NEAR_DAYS:
            yield passed(self, evidence)
        elif left >= 0:
            yield warned(self, evidence, warning(
                "ttl-near", f"The environment expires in {days}.", evidence,
                "Decide: set a later ttl, or destroy it.", position=where, rule=self.rule))
        else:
            yield blocked(self, evidence, error(
                "ttl-past", f"The environment expired on {ttl}.", evidence,
                "Set a later ttl, or run txplan destroy.", position=where, rule=self.rule))


GUARDRAIL = Ttl()
