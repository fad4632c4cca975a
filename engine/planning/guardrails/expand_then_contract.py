"""P4.4, P9.4: expand, then the application, then contract; schema and application work with each other throughout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from engine.kinds import wiring
from engine.model.change import Action, Change
from engine.model.diagnostic import error
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.guardrails.verdicts import blocked, change_of, listed, passed


class ExpandThenContract:
    """See the module. What an app needs is told by its source: a name that is nowhere in it is needed by nobody. Of a
    running revision that is not the one here nothing is known, so it may need everything."""

    rule = "P4.4"
    name = "expand-then-contract"
    meaning = "Nothing is dropped, renamed or narrowed while a running application may still need it."
    overridable = True

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """Blocks each pending revision that takes away what a running app may need."""
        change = change_of(plan, wiring.SCHEMA)
        pending = _pending(change, live) if change is not None and not plan.destroy else []
        taken = [(r["revision"], c) for r in pending for c in r["contracts"]]
        if change is None or not taken:
            yield passed(self, f"revisions to run: {len(pending)}; none takes anything away" if pending
                         else "no revision is to run")
            return
        older = [str(a) for a in (wiring.CONSUMER, wiring.API) if _runs_otherwise(plan, live, a)]
        running = [str(a) for a in (wiring.CONSUMER, wiring.API) if _runs(live, a)]
        wrong = [(name, c, why) for name, c in taken if running and (why := _needed(c, older))]
        for name, contract, why in wrong:
            evidence = f"{name} {contract['what']} {contract['name']}: {why}"
            yield blocked(self, evidence, error(
                "contract-too-early", f"Revision {name} {contract['what']} {contract['name']} too early.", evidence,
                "Deploy the application that does without it first; then let the revision run.",
                position=change.source, address=change.address, rule=self.rule), change.address)
        if not wrong:
            what = listed(f"{name} {c['what']} {c['name']}" for name, c in taken)
            yield passed(self, f"{what}; " + ("no running app names it" if running else "no app runs"))


def _pending(change: Change, live: LiveState) -> list[Any]:
    if change.action not in (Action.RUN, Action.WAIT):
        return []
    chain: Any = change.spec["chain"]
    seen = live.by_address.get(change.address)
    at = str(seen.attributes.get("revision")) if seen is not None and seen.exists else ""
    names = [r["revision"] for r in chain]
    return list(chain[names.index(at) + 1:] if at in names else chain)


def _runs(live: LiveState, address: Any) -> bool:
    seen = live.by_address.get(address)
    return seen is not None and seen.exists


def _runs_otherwise(plan: Plan, live: LiveState, address: Any) -> bool:
    """Whether an app runs in another revision than the one here."""
    change, seen = change_of(plan, address), live.by_address.get(address)
    return change is not None and seen is not None and seen.exists and (
        seen.attributes.get("revision") != change.spec["revision"])


def _needed(contract: Mapping[str, Any], older: list[str]) -> str:
    if contract["used_in"]:
        return f"the application names it in {listed(contract['used_in'], 3)}"
    return f"{listed(older)} runs in another revision than the one here, which may need it" if older else ""


GUARDRAIL = ExpandThenContract()
