"""P6.5: what the hubs keep covers the age of T, the skew allowance, the remaining backfill and the recovery buffer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from engine.kinds import wiring
from engine.kinds.cutover import LOADING, need_of
from engine.model.change import Action, Change
from engine.model.diagnostic import error
from engine.model.duration import spoken
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.guardrails.verdicts import blocked, change_of, passed
from engine.policy.retention import Need


class Retention:
    """See the module. The cutover step checks it again on live offsets before it writes anything, and the backfill
    while it runs, by the rate that it shows."""

    rule = "P6.5"
    name = "retention"
    meaning = "Events are kept longer than backfill and recovery can take, so that the stream has no hole."
    overridable = False

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """Blocks a cutover whose stream would begin before what the hubs still keep when the backfill is done."""
        change, backfill = change_of(plan, wiring.CUTOVER), change_of(plan, wiring.BACKFILL)
        if plan.destroy or change is None:
            yield passed(self, "no cutover is taken")
            return
        seen = live.by_address.get(wiring.CUTOVER)
        loads = backfill is not None and backfill.action in (Action.RUN, Action.WAIT)
        if change.action is Action.RUN:
            need = _anew(change, backfill if loads else None, live, now)
        elif loads and seen is not None and not seen.unreadable and seen.notes.get("state") in LOADING:
            need = need_of(change.spec, seen.notes)
        else:
            yield passed(self, "this plan takes no new cutover")
            return
        if need.fits:
            yield passed(self, need.evidence)
            return
        yield blocked(self, need.evidence, error(
            "retention", f"The hubs keep {spoken(need.kept)}; the cutover needs {spoken(need.total)}.", need.evidence,
            f"Raise hubs.*.retention above {spoken(need.total)}, or take a later cutover.at.", position=change.source,
            rule=self.rule))


def _anew(change: Change, backfill: Change | None, live: LiveState, now: datetime) -> Need:
    """What a new cutover needs: its backfill begins at its first row, and takes as long as it took before."""
    at = change.spec["at"]
    need = need_of(change.spec, {"age_s": (now - datetime.fromisoformat(str(at))).total_seconds() if at else 0.0})
    if backfill is None:
        return need
    seconds = backfill.expected_s
    seen = live.by_address.get(wiring.BACKFILL)
    notes = seen.notes if seen is not None else {}
    rows, rate = notes.get("rows_total"), notes.get("rows_per_s")
    if isinstance(rows, int) and isinstance(rate, int | float) and rate:
        # This very source, as fast as its last run read it.
        seconds = rows / rate
    return need if seconds is None else replace(need, remaining=timedelta(seconds=seconds))


GUARDRAIL = Retention()
