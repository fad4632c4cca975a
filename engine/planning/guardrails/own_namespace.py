"""P3.1: the namespace belongs to one environment; a shared one is an error."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from engine.kinds import wiring
from engine.model.diagnostic import error
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.guardrails.verdicts import blocked, listed, passed
from engine.policy.naming import names_of, strange_groups


class OwnNamespace:
    """See the module. The cutover step looks again before it takes a group, for a broker that nobody knew before."""

    rule = "P3.1"
    name = "own-namespace"
    meaning = "No other environment's consumers read from the broker's namespace."
    overridable = False

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """Blocks building on a broker where consumer groups of other environments are."""
        seen = live.by_address.get(wiring.CUTOVER)
        groups: Any = seen.notes.get("groups") if seen is not None else None
        if plan.destroy or groups is None:
            yield passed(self, "nothing is built" if plan.destroy else "there is no broker to look at yet")
            return
        others = strange_groups(names_of(plan.environment), groups)
        if not others:
            yield passed(self, f"the broker's consumer groups: {listed(groups) or 'none'}; all are this environment's")
            return
        evidence = f"consumer groups of others: {listed(others)}"
        yield blocked(self, evidence, error(
            "shared-namespace", "Other environments read from this namespace.", evidence,
            "Name a broker of this environment's own in broker.", address=wiring.NAMESPACE, rule=self.rule),
            wiring.NAMESPACE)


GUARDRAIL = OwnNamespace()
