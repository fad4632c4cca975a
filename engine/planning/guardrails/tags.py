"""P3.3: every resource carries env, owner, project and ttl; one that carries somebody else's is not taken over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from engine.model.diagnostic import error
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.guardrails.destroys_only_its_own import IDENTIFYING, differing
from engine.planning.guardrails.verdicts import blocked, passed

_NEEDED = (*IDENTIFYING, "ttl")


class Tags:
    """See the module. What is deleted is judged by destroys-only-its-own."""

    rule = "P3.3"
    name = "tags"
    meaning = "Every resource has its tags, and a live one tagged as somebody else's is never changed to be ours."
    overridable = False

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """Blocks a step without its tags, and a live resource whose tags name another environment."""
        mine = {key: plan.environment.tags[key] for key in IDENTIFYING}
        tagged = [c for c in plan.changes if c.address.kind == "resource" and "tags" in c.spec]
        wrong = []
        for change in tagged:
            declared, seen = change.spec["tags"], live.by_address.get(change.address)
            missing = [key for key in _NEEDED if not (isinstance(declared, Mapping) and declared.get(key))]
            readable = seen is not None and seen.exists and not seen.unreadable and not plan.destroy
            there = seen.attributes.get("tags") if seen is not None and readable else mine
            evidence = f"without {', '.join(missing)}" if missing else "; ".join(differing(there, mine))
            if evidence:
                wrong.append(blocked(self, evidence, error(
                    "bad-tags", f"{change.address} is tagged otherwise than this environment.", evidence,
                    "It belongs to somebody else: choose another owner or env, or let its owner give it away.",
                    position=change.positions.get("tags"), address=change.address, rule=self.rule), change.address))
        yield from wrong or [passed(self, f"{', '.join(_NEEDED)} on {len(tagged)} resources; none is somebody else's")]


GUARDRAIL = Tags()
