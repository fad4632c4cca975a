"""P3.2 C: a secure environment is built from the passed evidence of the one before it, of the same code and schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from engine.kinds import wiring
from engine.model.diagnostic import Diagnostic, error
from engine.model.duration import spoken
from engine.model.evidence import Evidence
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.evidence import problems
from engine.planning.guardrails.verdicts import blocked, change_of, passed

# An override that answers for what a plan destroyed takes nothing from what was built and proven after it.
_PROMOTES = frozenset({"blast-radius", "road-back"})


class FromEvidence:
    """See the module. A plan that promotes nothing is not concerned."""

    rule = "P3.2"
    name = "from-evidence"
    meaning = "What is promoted was proven green, recently, by the same code and schema, and becomes stricter."
    overridable = False

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """One refusal for each thing that the evidence does not bear."""
        if plan.promotion is None:
            yield passed(self, "nothing is promoted")
            return
        record = plan.promotion.evidence
        found = [*problems(record, now, plan.promotion.fresh_for), *_other(record, plan), *_overrides(record),
                 *_stricter(record, plan)]
        yield from (blocked(self, d.detail or d.summary, d, d.address) for d in found)
        if not found:
            oldest = min(p.at for p in record.proofs)
            yield passed(self, f"{record.environment.name}, evidence {plan.promotion.id[:12]}: {len(record.proofs)} "
                         f"proofs passed, the oldest {spoken(now - oldest)} ago; code {record.code[:12]}, schema "
                         f"{record.head}, both the same here")


def _other(record: Evidence, plan: Plan) -> Iterator[Diagnostic]:
    """Code or schema that is not what was proven."""
    app, schema = change_of(plan, wiring.API), change_of(plan, wiring.SCHEMA)
    here = str(app.spec["code"]) if app else ""
    if here != record.code:
        yield error("other-code", f"{record.environment.name} was proven with other code than the code here.",
                    f"proven {record.code[:12]}, here {here[:12]}", "Check out what was proven, or prove what is here.",
                    address=wiring.API, rule="P3.2")
    chain: Any = schema.spec["chain"] if schema else []
    here_landed = [(r["revision"], r["digest"]) for r in chain]
    proven = [(r["revision"], r["digest"]) for r in record.landed]
    if here_landed != proven:
        differing = sorted({name for name, _ in set(here_landed) ^ set(proven)})
        yield error("other-schema", f"{record.environment.name} was proven with other revisions than those here.",
                    f"differing: {', '.join(differing)}", "Check out what was proven, or prove what is here.",
                    address=wiring.SCHEMA, rule="P4.2")


def _overrides(record: Evidence) -> Iterator[Diagnostic]:
    for override in record.overrides:
        if override.guardrail not in _PROMOTES:
            yield error("override-not-promoted", f"{record.environment.name} was made green over the refusal of "
                        f"{override.guardrail}.", f"{override.guardrail}: {override.reason}",
                        "Apply it without that override, to green gates.", rule="P3.2")


def _stricter(record: Evidence, plan: Plan) -> Iterator[Diagnostic]:
    if plan.environment.name == record.environment.name:
        yield error("same-environment", f"{plan.environment.name} cannot be promoted to itself.",
                    "A secure environment is other resources, never the tested one hardened.",
                    "Name the manifest of another environment.", rule="P10.1")
    if plan.environment.access != "private":
        yield error("not-stricter", f"{plan.environment.name} is as public as {record.environment.name}.",
                    "access is public", "Set access: private.", rule="P3.2")


GUARDRAIL = FromEvidence()
