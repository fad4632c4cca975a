"""P2.4: what cannot change in place is made anew and said so; it never fails half-way, and never changes silently."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from engine.model.change import Action, Change
from engine.model.diagnostic import error
from engine.model.difference import same
from engine.model.observation import LiveState, Observation
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.guardrails.verdicts import blocked, listed, passed


class ImmutableValues:
    """See the module. It looks at the live values, not at what the plan says of them."""

    rule = "P2.4"
    name = "immutable-values"
    meaning = "A value that cannot change in place (partitions, a server's version) is changed by a replacement alone."
    overridable = False

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """Blocks an update in place of a resource that differs in what cannot change."""
        wrong, anew = [], []
        for change in plan.changes:
            seen = live.by_address.get(change.address)
            if plan.destroy or change.address.kind != "resource" or seen is None or not seen.exists:
                continue
            for key in _fixed(change, seen):
                told = f"{change.address} {key}: {seen.attributes[key]} → {change.spec[key]}"
                if change.action is Action.UPDATE:
                    wrong.append(blocked(self, told, error(
                        "immutable-value", f"{change.address} cannot change its {key} in place.", told,
                        "Plan again: it has to be replaced.", position=change.positions.get(key),
                        address=change.address, rule=self.rule), change.address))
                else:
                    anew.append(told)
        yield from wrong or [passed(self, f"made anew for it: {listed(anew)}" if anew else
                                    "nothing that is live differs in what cannot change in place")]


def _fixed(change: Change, seen: Observation) -> list[str]:
    immutable: Any = seen.notes.get("immutable") or []
    return [key for key in immutable if key in seen.attributes and key in change.spec
            and not same(seen.attributes[key], change.spec[key])]


GUARDRAIL = ImmutableValues()
