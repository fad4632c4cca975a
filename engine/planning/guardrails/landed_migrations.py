"""P4.3: a landed revision never changes; a change is a new revision. There is one chain with one head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from engine.kinds import wiring
from engine.model.diagnostic import error
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.guardrails.verdicts import blocked, change_of, listed, passed


class LandedMigrations:
    """See the module. What landed is kept in the database itself, so another checkout is judged by it too."""

    rule = "P4.3"
    name = "landed-migrations"
    meaning = "A revision that was applied is never edited, deleted or given another parent."
    overridable = False

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """One verdict a landed revision that is no longer what it was."""
        change = change_of(plan, wiring.SCHEMA)
        seen = live.by_address.get(wiring.SCHEMA)
        if change is None or plan.destroy or seen is None or seen.unreadable or not seen.exists:
            yield passed(self, "no revision has landed, or none is looked at")
            return
        landed: Any = seen.attributes.get("landed") or []
        chain: Any = change.spec["chain"]
        here = {r["revision"]: r for r in chain}
        wrong = [(r, why) for r in landed if (why := _moved(r, here.get(r["revision"])))]
        for revision, why in wrong:
            yield blocked(self, why, error(
                "landed-revision", f"The landed revision {revision['revision']} was changed.", why,
                "Bring it back as it landed, and make the change a new revision.", position=change.source,
                address=change.address, rule=self.rule), change.address)
        if not wrong:
            names = listed(r["revision"] for r in landed)
            yield passed(self, f"one head, {change.spec['head']}; landed and unchanged: {names or 'none yet'}")


def _moved(landed: Mapping[str, str], here: Mapping[str, str] | None) -> str:
    name = landed["revision"]
    if here is None:
        return f"{name} landed, and migrations/ lacks it"
    if here["down"] != landed["down"]:
        return f"{name} landed after {landed['down'] or 'nothing'}, and follows {here['down'] or 'nothing'} now"
    if here["digest"] != landed["digest"]:
        return f"{name} landed with the digest {landed['digest'][:12]}, and has {here['digest'][:12]} now"
    return ""


GUARDRAIL = LandedMigrations()
