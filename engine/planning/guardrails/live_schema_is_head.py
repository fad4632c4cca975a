"""P4.6: the live schema is what the revisions make; what was changed by hand comes back as a revision."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from engine.kinds import wiring
from engine.model.diagnostic import warning
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.guardrails.verdicts import listed, passed, warned


class LiveSchemaIsHead:
    """See the module. It warns and does not block, for the revision that covers the change has to get through."""

    rule = "P4.6"
    name = "live-schema-is-head"
    meaning = "The schema was changed by revisions alone; what was changed by hand is named."
    overridable = False

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """Warns of everything in the live catalog that no landed revision made, or that one made otherwise."""
        seen = live.by_address.get(wiring.SCHEMA)
        if plan.destroy or seen is None or seen.unreadable or not seen.exists:
            yield passed(self, "no schema is there, or none is looked at")
            return
        drift: Any = seen.attributes.get("drift") or []
        if not drift:
            yield passed(self, f"the live catalog is what the revisions up to {seen.attributes['revision']} make")
            return
        evidence = f"{len(drift)} {'object differs' if len(drift) == 1 else 'objects differ'}: {listed(drift, 10)}"
        yield warned(self, evidence, warning(
            "schema-drift", "The live schema is not what its revisions make.", "\n".join(drift[:50]),
            "Write a revision that makes the same change, or undo it.", address=wiring.SCHEMA, rule=self.rule),
            wiring.SCHEMA)


GUARDRAIL = LiveSchemaIsHead()
