"""P3.3: every name follows its pattern and fits into the service's limits."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from engine.model.diagnostic import error
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.guardrails.verdicts import blocked, passed
from engine.policy.naming import all_names, bad_lengths, names_of


class NamesAndLengths:
    """See the module. A manifest's names are checked when it is read; here those of the plan that is applied are."""

    rule = "P3.3"
    name = "names"
    meaning = "Every resource is called as the naming rule says, within the service's limits."
    overridable = False

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """Blocks each name that is too long or too short, and each tagged resource that is called otherwise."""
        names = names_of(plan.environment)
        known = set(all_names(names).values())
        wrong = []
        for bad in bad_lengths(names):
            evidence = f"{bad.name} ({bad.token}) has {len(bad.name)} characters; {bad.least} to {bad.most} are allowed"
            wrong.append(blocked(self, evidence, error(
                "bad-name", f"The name {bad.name} does not fit.", evidence, "Choose a shorter owner, env or project.",
                rule=self.rule)))
        tagged = [c for c in plan.changes if c.address.kind == "resource" and "tags" in c.spec]
        for change in tagged:
            if change.spec["name"] not in known:
                evidence = f"{change.spec['name']} is none of the environment's names"
                wrong.append(blocked(self, evidence, error(
                    "bad-name", f"{change.address} is not called as the naming rule says.", evidence,
                    "Plan again from the manifest.", address=change.address, rule=self.rule), change.address))
        evidence = f"{len(tagged)} names follow their pattern; {len(known) + 1} fit their limits"
        yield from wrong or [passed(self, evidence)]


GUARDRAIL = NamesAndLengths()
