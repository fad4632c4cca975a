"""P3.3, P11.2: before the first deletion it is verified that nothing of somebody else's would go with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from engine.model.address import Address
from engine.model.diagnostic import error, warning
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.guardrails.verdicts import blocked, listed, passed, warned


class NothingForeignInside:
    """See the module. Holds for the whole plan: not one resource is deleted while one of them holds a stranger."""

    rule = "P11.2"
    name = "nothing-foreign-inside"
    meaning = "Nothing is deleted while a foreign, platform-managed or locked thing is in what would go with it."
    overridable = False

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """One verdict a stranger, all of them before the first deletion."""
        gone = _going(plan, live)
        strangers = [(a, f) for a, inside in gone.items() for f in inside or ()]
        unseen = [a for a, inside in gone.items() if inside is None]
        for address, found in strangers:
            evidence = f"{found['what']} is {found['why']}"
            yield blocked(self, evidence, error(
                "foreign-inside", f"{found['what']} would go with {address}.", f"It is {found['why']}; {_SAYS}.",
                "Take it out, or leave the environment as it is.", address=address, rule=self.rule), address)
        if unseen:
            evidence = f"nobody can look into {listed(unseen)} now"
            yield warned(self, evidence, warning(
                "unseen-inside", f"What is in {listed(unseen)} cannot be read now, and goes with it.", evidence,
                "Apply first where something of somebody else's may be in it.", rule=self.rule))
        if not strangers and not unseen:
            yield passed(self, f"looked into {listed(gone, 10)}: nothing foreign" if gone else "nothing is destroyed")


_SAYS = "nothing is deleted before it is gone from there"


def _going(plan: Plan, live: LiveState) -> dict[Address, list[Mapping[str, str]] | None]:
    """What is in each live resource that the plan deletes or replaces; None where that could not be read."""
    found: dict[Address, list[Mapping[str, str]] | None] = {}
    for change in plan.changes:
        seen = live.by_address.get(change.address)
        if change.address.kind == "resource" and change.action.destroys and seen is not None and seen.exists:
            inside: Any = seen.notes.get("foreign")
            found[change.address] = inside
    return found


GUARDRAIL = NothingForeignInside()
