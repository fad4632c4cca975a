"""Reprocess: the active consumer group reads a part of its log again, because somebody asked for exactly that (P7.3).

Two steps around the consumer's own: `reprocess.offsets` stops the consumer and sets its group back, the consumer starts
again, and `reprocess.replay` waits until it has read again what was there. The total order makes the second reading
harmless. There are no such steps where nobody asks. Must not: choose a group, or set one forward over what it has not
read.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from engine.kinds import wiring
from engine.kinds.base import NOTHING_TO_REMOVE, Needs, because_upstream, unreadable
from engine.kinds.jobs import Interrupted
from engine.kinds.measure import stream_pace
from engine.kinds.records import (
    CutoverRecord,
    Offsets,
    active_cutover,
    insert_reprocessing,
    offsets_from_json,
    offsets_to_json,
    reprocessings,
    why_unreadable,
)
from engine.model.address import Address
from engine.model.change import Action, Change, Decision, Reason
from engine.model.diagnostic import Refused, error
from engine.model.duration import spoken
from engine.model.manifest import Manifest
from engine.model.observation import Observation
from engine.model.step import Step
from engine.model.value import Attributes, Value
from engine.providers.base import Capabilities, Context, Partition, Progress

_LEAVE_S = 60.0
_STALLED_S = 120.0
_ASK_EVERY_S = 0.5


class ReprocessKind:
    """See the module."""

    name = "reprocess"
    proves = False
    reads_by = ("at", "offsets")
    ready_seconds = 5.0

    def steps(self, manifest: Manifest) -> Iterable[Step]:
        """Both steps where the command line asks for them."""
        asked = manifest.reprocess
        if asked is None:
            return
        spec: dict[str, Value] = {"at": asked.at.isoformat() if asked.at else None,
                                  "offsets": offsets_to_json(asked.offsets)}
        source = manifest.where("cutover")
        loaded = {wiring.BACKFILL} if manifest.backfill.source else set()
        yield Step(wiring.REPROCESS, spec, frozenset({wiring.CUTOVER, wiring.NAMESPACE, *loaded}),
                   frozenset({wiring.CUTOVER}), source)
        yield Step(wiring.REPLAY, spec, frozenset({wiring.REPROCESS, wiring.CONSUMER}), frozenset({wiring.CUTOVER}),
                   source)

    def observe(self, step: Step, capabilities: Capabilities) -> Observation:
        """From where the active group would read again, and how much that is."""
        needs = Needs(capabilities)
        if why := why_unreadable(needs.database):
            return unreadable(step.address, why)
        record = active_cutover(needs.database)
        if record is None:
            return Observation(step.address, exists=False)
        if not needs.broker.reachable():
            return unreadable(step.address, "the broker does not answer")
        topics = sorted({topic for topic, _ in record.start_offsets})
        begin = _begin(step.spec, record, needs)
        # Only what is asked for identifies the step: how far the group is ticks.
        committed = {**record.start_offsets, **needs.broker.committed(record.group, topics)}
        again = {place: offset for place, offset in begin.items() if offset < committed.get(place, 0)}
        notes: dict[str, Value] = {
            "committed": offsets_to_json(committed),
            "log_start": offsets_to_json(_ask(topics, needs.broker.earliest_offsets)),
            "first_at": _stamps(needs, again),
            "last_at": _stamps(needs, {place: committed[place] - 1 for place in again})}
        pace = stream_pace(needs.metrics.scrape(wiring.CONSUMER.name))
        return Observation(step.address, True, {"group": record.group, "from": offsets_to_json(begin)},
                           notes if pace is None else {**notes, "rows_per_s": round(pace)})

    def decide(self, step: Step, seen: Observation, upstream: Mapping[Address, Action]) -> Decision:
        """Run what is asked for, unless there is nothing between there and where the group is."""
        ahead = upstream.get(wiring.CUTOVER, Action.NOOP)
        if ahead is Action.WAIT:
            return Decision(Action.WAIT, because_upstream(upstream, "It reads the group's name"))
        if not seen.exists or ahead is not Action.NOOP:
            return Decision(Action.NOOP, diagnostics=(error(
                "nothing-to-reprocess", "There is no group that has read anything: a new cutover is taken.",
                "A new group reads from its own start offsets; nothing of it can be read again.",
                "Leave out --reprocess.", address=step.address, rule="P7.3"),))
        rows = replayed(seen)
        if not any(rows.values()):
            return Decision(Action.NOOP, (Reason("nothing", "The group has read nothing from there on yet."),))
        if step.address == wiring.REPLAY:
            more = {"rows_per_s": seen.notes["rows_per_s"]} if "rows_per_s" in seen.notes else {}
            return Decision(Action.RUN, because_upstream(upstream, "It waits until all is read again") or (
                Reason("asked", "It waits until all is read again."),), details={"rows": _again(rows), **more})
        since = _zulu(step.spec["at"]) if step.spec["at"] else "the offsets that were named"
        reason = Reason("asked", f"--reprocess asks for it: the consumer stops, {seen.attributes['group']} is set back "
                        f"to {since}, and the consumer starts again (P7.3).")
        return Decision(Action.RUN, (reason,), details={"group": seen.attributes["group"],
                                                        "records": _again(rows), "replays": _in_words(seen)})

    def decide_delete(self, seen: Observation) -> Decision:
        """Nothing of it stays."""
        return NOTHING_TO_REMOVE

    def apply(self, change: Change, capabilities: Capabilities, context: Context) -> Attributes:
        """Stop, set back and keep that it was done; or wait for the second reading."""
        needs = Needs(capabilities)
        record = active_cutover(needs.database)
        if record is None:
            raise Refused([error("no-cutover", "There is no cutover whose group could read again.",
                                 address=change.address)])
        if change.address == wiring.REPLAY:
            return _await_replay(change, record, needs, context)
        needs.apps.remove(wiring.CONSUMER.name, context)
        until = time.monotonic() + _LEAVE_S
        _await_empty(change, record.group, needs, context, until)
        begin = _begin(change.spec, record, needs)
        topics = sorted({topic for topic, _ in record.start_offsets})
        committed = {**record.start_offsets, **needs.broker.committed(record.group, topics)}
        _refuse_gap(change, begin, committed, _ask(topics, needs.broker.earliest_offsets))
        # Before the commit: what was begun is known, also when the answer to it is lost.
        insert_reprocessing(needs.database, record.id, change.spec, begin, _ask(topics, needs.broker.latest_offsets))
        _commit(record.group, begin, needs, context, until)
        kept = needs.broker.committed(record.group, topics)
        if any(kept.get(place) != offset for place, offset in begin.items()):
            raise Refused([error("offsets-not-kept", f"The broker did not keep the offsets of {record.group}.",
                                 mend="Plan again with --reprocess.", address=change.address)])
        records = sum(committed[place] - offset for place, offset in begin.items())
        return {"says": f"{record.group} set back by {records:,} records", "records": records,
                "from": offsets_to_json(begin)}

    def ready(self, change: Change, capabilities: Capabilities) -> str | None:
        """What is applied is done."""
        return None


def replayed(seen: Observation) -> dict[Partition, int]:
    """How many records each partition reads again; below zero where some would be left out unread."""
    begin, committed = (offsets_from_json(_tree(v)) for v in (seen.attributes["from"], seen.notes["committed"]))
    return {place: committed.get(place, 0) - offset for place, offset in begin.items()}


def _again(rows: Mapping[Partition, int]) -> int:
    return sum(max(records, 0) for records in rows.values())


def _begin(spec: Attributes, record: CutoverRecord, needs: Needs) -> dict[Partition, int]:
    """From where each partition is read again. For an instant: only partitions that have read past it."""
    if spec["at"] is None:
        return offsets_from_json(_tree(spec["offsets"]))
    at, topics = datetime.fromisoformat(str(spec["at"])), sorted({topic for topic, _ in record.start_offsets})
    found = _ask(topics, lambda topic: needs.broker.offsets_for_time(topic, at))
    committed = {**record.start_offsets, **needs.broker.committed(record.group, topics)}
    return {place: offset for place, offset in sorted(found.items()) if offset <= committed.get(place, -1)}


def _ask(topics: Iterable[str], question: Any) -> dict[Partition, int]:
    return {place: offset for topic in topics for place, offset in question(topic).items()}


def _tree(value: Value) -> Mapping[str, Mapping[str, int]]:
    assert isinstance(value, Mapping)
    return value


def _zulu(at: Value) -> str:
    return f"{datetime.fromisoformat(str(at)):%Y-%m-%dT%H:%M:%SZ}"


def _stamps(needs: Needs, offsets: Offsets) -> dict[str, Value]:
    """`topic/partition` to when the record at its offset was appended."""
    return {f"{topic}/{number}": f"{at:%Y-%m-%dT%H:%M:%SZ}"
            for (topic, number), at in needs.broker.stamps(offsets).items()}


def _in_words(seen: Observation) -> list[str]:
    """One line a partition: offsets, records, and from when to when."""
    begin, committed = (offsets_from_json(_tree(v)) for v in (seen.attributes["from"], seen.notes["committed"]))
    first, last = seen.notes["first_at"], seen.notes["last_at"]
    assert isinstance(first, Mapping) and isinstance(last, Mapping)
    lines = []
    for (topic, number), offset in sorted(begin.items()):
        end = committed.get((topic, number), offset)
        name = f"{topic}/{number}"
        if offset > end:
            lines.append(f"{name}: {offset - end:,} records would be left unread, offsets {end:,} to {offset:,}")
            continue
        lines.append(f"{name}: {end - offset:,} records, offsets {offset:,} to {end:,}"
                     + (f", of {first[name]} to {last.get(name, 'now')}" if name in first else ""))
    return lines


def _refuse_gap(change: Change, begin: Offsets, committed: Offsets, log_start: Offsets) -> None:
    """Once more, with the consumer stopped: nothing unread is left out, and the log holds what shall be read."""
    wrong = [f"{topic}/{number}" for (topic, number), offset in sorted(begin.items())
             if not log_start.get((topic, number), 0) <= offset <= committed.get((topic, number), -1)]
    if wrong:
        raise Refused([error("reprocess-gap", f"{', '.join(wrong)} would not read on without a gap.",
                             "The log or the group has moved since the plan was made.",
                             "Plan again; an apply without --reprocess starts the consumer where it was.",
                             address=change.address, rule="P7.3")], exit_code=3)


def _await_empty(change: Change, group: str, needs: Needs, context: Context, until: float) -> None:
    """A broker takes offsets for a group without members alone; one that was killed counts until its session ends."""
    while members := needs.broker.describe_group(group).members:
        if context.cancelled():
            raise Interrupted
        if time.monotonic() > until:
            raise Refused([error("group-has-members", f"{group} still has {members} members after {_LEAVE_S:.0f} s.",
                                 "Somebody else reads under this group, or a killed member's session has not ended.",
                                 "End them. An apply without --reprocess starts the consumer where it was.",
                                 address=change.address, rule="P7.3")])
        context.emit(Progress(note=f"waits for {members} members of {group} to leave"))
        time.sleep(_ASK_EVERY_S)


def _commit(group: str, begin: Offsets, needs: Needs, context: Context, until: float) -> None:
    """Set the group back; some brokers refuse for a while after the last member has left."""
    while True:
        try:
            return needs.broker.commit(group, begin)
        except Refused:
            if context.cancelled() or time.monotonic() > until:
                raise
        context.emit(Progress(note=f"waits until the broker takes offsets for {group}"))
        time.sleep(_ASK_EVERY_S)


def _await_replay(change: Change, record: CutoverRecord, needs: Needs, context: Context) -> Attributes:
    """Wait until the group has committed what the log held when it was set back."""
    [*_, last] = reprocessings(needs.database, record.id)
    topics, began = sorted({topic for topic, _ in last.begin}), time.monotonic()
    total = sum(last.end[place] - offset for place, offset in last.begin.items())
    done, moved = 0, began
    while True:
        committed = needs.broker.committed(record.group, topics)
        before, done = done, sum(min(committed.get(place, offset), last.end[place]) - offset
                                 for place, offset in last.begin.items())
        now = time.monotonic()
        if done >= total:
            return {"read": total, "says": f"{total:,} records read again in {spoken(now - began)}"}
        moved = now if done != before else moved
        if now - moved > _STALLED_S:
            raise Refused([error("replay-stalled", f"The consumer has read nothing for {_STALLED_S:.0f} s.",
                                 f"{done:,} of {total:,} records are read again.",
                                 "Read its log: txplan logs ENV consumer; an apply goes on.", address=change.address)])
        if context.cancelled():
            raise Interrupted
        eta = (total - done) * (now - began) / done if done else None
        context.emit(Progress(done, total, "records", None if eta is None else round(eta, 1)))
        time.sleep(_ASK_EVERY_S)


KIND = ReprocessKind()
