"""P7.3: a group that was consumed from is used again for an explicit reprocessing alone, and leaves nothing out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from engine.kinds import wiring
from engine.kinds.records import offsets_from_json
from engine.kinds.reprocess import replayed
from engine.model.change import Action
from engine.model.diagnostic import Diagnostic, error, warning
from engine.model.observation import LiveState, Observation
from engine.model.plan import Plan
from engine.model.value import Attributes
from engine.model.verdict import Verdict
from engine.planning.guardrails.verdicts import blocked, change_of, listed, passed, warned


class Reprocess:
    """See the module. The step looks again once the consumer is stopped, before it sets anything back."""

    rule = "P7.3"
    name = "reprocess"
    meaning = "A group is set back only where --reprocess asks, to what the log still holds, and never forward."
    overridable = False

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """Blocks offsets that no partition has, that the log has dropped, or that would leave records unread, and a
        plan that stops the consumer without starting it."""
        change, seen = change_of(plan, wiring.REPROCESS), live.by_address.get(wiring.REPROCESS)
        if change is None or change.action is Action.NOOP or seen is None or not seen.exists or seen.unreadable:
            # Where it does nothing because of what is asked, that is told all the same.
            asked = None if change is None or seen is None or not seen.exists or seen.unreadable else (change, seen)
            problem = (self._future(asked[0].spec, now) or _problem(self.rule, asked[1])) if asked else None
            if problem is None:
                yield self._nothing() if asked else passed(self, "no group is set back")
                return
        else:
            problem = self._future(change.spec, now) or _problem(self.rule, seen) or self._half(plan)
        if problem is None:
            assert seen is not None
            yield passed(self, f"{seen.attributes['group']} reads {sum(replayed(seen).values()):,} records again")
            return
        yield blocked(self, problem.detail, problem, wiring.REPROCESS)

    def _future(self, spec: Attributes, now: datetime) -> Diagnostic | None:
        if spec["at"] is None or datetime.fromisoformat(str(spec["at"])) <= now:
            return None
        return error("reprocess-future", f"{spec['at']} has not come yet.", "Nothing was read from then on.",
                     "Name an earlier time, in UTC.", address=wiring.REPROCESS, rule=self.rule)

    def _nothing(self) -> Verdict:
        """Asked for, and not done: told, so that nobody takes it for done."""
        summary = "Nothing is read again: the group has read nothing from there on."
        return warned(self, "no group is set back", warning(
            "reprocess-nothing", summary, mend="Name an earlier time or offset: txplan cutover status ENV",
            address=wiring.REPROCESS, rule=self.rule))

    def _half(self, plan: Plan) -> Diagnostic | None:
        """The consumer has to start again, and be waited for, in the same plan."""
        left = [a for a in (wiring.CONSUMER, wiring.REPLAY)
                if (c := change_of(plan, a)) is None or c.action is Action.NOOP]
        if not left:
            return None
        return error("reprocess-half", "The consumer would be stopped and not started again.",
                     f"Left out: {listed(left)}.", "Plan without --only and --exclude, or choose these steps too.",
                     address=wiring.REPROCESS, rule=self.rule)


def _problem(rule: str, seen: Observation) -> Diagnostic | None:
    if not seen.exists or seen.unreadable:
        return None
    begin: Any = seen.attributes["from"]
    start: Any = seen.notes["log_start"]
    wanted, log_start = offsets_from_json(begin), offsets_from_json(start)
    strange = [f"{t}:{p}" for (t, p) in wanted if (t, p) not in log_start]
    if strange:
        return error("reprocess-unknown", f"There is no partition {listed(strange)}.",
                     f"The group reads {listed([f'{t}:{p}' for t, p in log_start], 8)}.", "Name one of those.",
                     address=wiring.REPROCESS, rule=rule)
    gone = [f"{t}:{p} begins at {log_start[t, p]}" for (t, p), o in wanted.items() if o < log_start[t, p]]
    if gone:
        return error("log-start", "The log no longer holds what shall be read again.", f"{listed(gone)}.",
                     "Reprocess from there, or rebuild with a new cutover.", address=wiring.REPROCESS, rule=rule)
    skips = [f"{t}:{p}, by {-n}" for (t, p), n in replayed(seen).items() if n < 0]
    if skips:
        return error("reprocess-skips", "The group would be set forward, and leave records unread.",
                     f"Ahead of where it is: {listed(skips)}.", "Name an offset that it has read past.",
                     address=wiring.REPROCESS, rule=rule)
    return None


GUARDRAIL = Reprocess()
