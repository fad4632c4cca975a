"""P7.1 to P7.4: a rebuild takes a new consumer group of its own; an old one's offsets serve a reprocessing alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from engine.kinds import wiring
from engine.kinds.cutover import AFTER
from engine.model.change import Action
from engine.model.diagnostic import error
from engine.model.observation import LiveState, Observation
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.guardrails.verdicts import blocked, change_of, passed
from engine.policy.naming import consumer_group, consumer_group_prefix, generation_of, names_of

_CONSUMED = "syncing"


class NewConsumerGroup:
    """See the module. A reprocessing is asked for by --reprocess, and by nothing else."""

    rule = "P7.2"
    name = "new-consumer-group"
    meaning = "The store is never loaded anew under a group that was consumed from already, nor under another's group."
    overridable = False

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """Blocks a backfill under a cutover whose group has been consumed from, and a group that is not ours."""
        change, seen = change_of(plan, wiring.CUTOVER), live.by_address.get(wiring.CUTOVER)
        if plan.destroy or change is None:
            yield passed(self, "no group is taken")
            return
        names = names_of(plan.environment)
        if seen is not None and seen.unreadable:
            yield passed(self, f"the cutover cannot be read now, and none is taken: {seen.unreadable}")
            return
        if change.action is not Action.NOOP or seen is None or not seen.exists:
            above = change.spec.get(AFTER)
            yield passed(self, f"a new group is taken, {consumer_group(names, int(str(above)) + 1)}, above generation "
                         f"{above}" if above is not None else
                         f"a new group is taken, {consumer_group_prefix(names)}N, with an N that nobody had yet")
            return
        group = str(seen.attributes.get("group"))
        if generation_of(names, group) is None:
            evidence = f"the cutover's group is {group}; this environment's begin with {consumer_group_prefix(names)}"
        elif (again := change_of(plan, wiring.REPROCESS)) is not None and again.action is Action.RUN:
            yield passed(self, f"{group} is used again, as --reprocess asks")
            return
        elif _loads_anew(plan, live, seen):
            evidence = f"the backfill runs anew, and {group} was consumed from already"
        else:
            yield passed(self, f"{group} goes on; nothing is loaded anew")
            return
        yield blocked(self, evidence, error(
            "group-reused", f"The consumer group {group} would be used again.", evidence,
            "Ask for a new cutover by another cutover.at; or, to read the log again with this group: "
            "--reprocess TIME",
            position=change.source, address=change.address, rule=self.rule), change.address)


def _loads_anew(plan: Plan, live: LiveState, cutover: Observation) -> bool:
    backfill, loaded = change_of(plan, wiring.BACKFILL), live.by_address.get(wiring.BACKFILL)
    state: Any = cutover.notes.get("state")
    return (backfill is not None and backfill.action is Action.RUN and state == _CONSUMED
            and (loaded is None or not loaded.exists))


GUARDRAIL = NewConsumerGroup()
