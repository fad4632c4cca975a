"""P11.3: a plan that builds destroys little; what is more is accepted by name, or asked for by `txplan destroy`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from engine.model.change import Change
from engine.model.diagnostic import error
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.guardrails.verdicts import blocked, listed, passed


class BlastRadius:
    """See the module. A whole environment is destroyed by typing its name, which says more than a limit can."""

    rule = "P11.3"
    name = "blast-radius"
    meaning = "A plan destroys no more than max_destroy says, in number and in share of the live resources."
    overridable = True

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """Counts the live resources that are deleted, replaced, or gone with what is replaced."""
        there = [c for c in plan.changes if c.address.kind == "resource"
                 and (seen := live.by_address.get(c.address)) is not None and seen.exists]
        gone = [c for c in there if _goes(c)]
        evidence = f"{len(gone)} of {len(there)} live resources are destroyed"
        if gone:
            evidence += f": {listed(c.address for c in gone)}"
        if plan.destroy:
            yield passed(self, f"{evidence}; asked for by the environment's name" if gone else evidence)
            return
        most = plan.max_destroy
        evidence += f"; at most {most.count} and {most.share:.0%} may be"
        if len(gone) <= most.count and len(gone) <= most.share * len(there):
            yield passed(self, evidence)
            return
        yield blocked(self, evidence, error(
            "blast-radius", f"The plan destroys {len(gone)} of {len(there)} live resources.", evidence,
            'Change less at once, raise max_destroy, or accept it: --override blast-radius --reason "..."',
            rule=self.rule))


def _goes(change: Change) -> bool:
    return change.action.destroys or any(r.code == "contained" for r in change.reasons)


GUARDRAIL = BlastRadius()
