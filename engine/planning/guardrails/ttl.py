"""P3.3: every environment says until when it lives; on that day somebody decides to extend or to destroy it."""

from __future__ import annotations

from collections.abc import Iterable

from engine.model.diagnostic import error, warning
from engine.model.manifest import Manifest
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Outcome, Verdict


class Ttl:
    """See the module. An expired environment is destroyed at any time, and never built or changed."""

    rule = "P3.3"
    name = "ttl"
    meaning = "An environment past its ttl is extended or destroyed, never silently kept."

    def judge(self, plan: Plan, manifest: Manifest, live: LiveState) -> Iterable[Verdict]:
        """Blocks building past the ttl, warns within three days of it."""
        left = (manifest.ttl - plan.created_at.date()).days
        evidence = f"ttl {manifest.ttl.isoformat()}, {left} days left"
        where = manifest.where("ttl")
        if plan.destroy or left > 3:
            yield Verdict(self.rule, self.name, Outcome.PASS, evidence)
        elif left >= 0:
            yield Verdict(self.rule, self.name, Outcome.WARN, evidence, diagnostic=warning(
                "ttl-near", f"The environment expires in {left} days.", evidence,
                "Decide: set a later ttl, or destroy it.", position=where, rule=self.rule))
        else:
            yield Verdict(self.rule, self.name, Outcome.BLOCK, evidence, diagnostic=error(
                "ttl-past", f"The environment expired on {manifest.ttl.isoformat()}.", evidence,
                "Set a later ttl, or run txplan destroy.", position=where, rule=self.rule))


GUARDRAIL = Ttl()
