"""Cutover: the instant and the offsets that divide backfill from stream (P6.3, P6.4, P7).

Taken before the source is read: what the read does not see was published at or after the start offsets. Ownership is
[.., T) for backfill and [T, ..) for the stream; physically they overlap by Δ, and the total order makes that harmless.
Must not: read the source or touch an entity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from engine.kinds import cloud, wiring
from engine.kinds.base import NOTHING_TO_REMOVE, Needs, unreadable
from engine.kinds.records import (
    CutoverRecord,
    active_cutover,
    insert_cutover,
    last_generation,
    offsets_to_json,
    why_unreadable,
)
from engine.model.address import Address
from engine.model.change import Action, Change, Decision, Diff, Reason
from engine.model.diagnostic import Refused, error
from engine.model.duration import spoken
from engine.model.manifest import Manifest, Names
from engine.model.observation import Observation
from engine.model.step import Step
from engine.model.value import UNKNOWN, Attributes, Value
from engine.policy.naming import GROUPS, consumer_group, consumer_group_prefix, generation_of, strange_groups
from engine.providers.base import Broker, Capabilities, Context, Partition


class CutoverKind:
    """See the module."""

    name = "cutover"
    proves = False
    reads_by = ()
    ready_seconds = 10.0

    def steps(self, manifest: Manifest) -> Iterable[Step]:
        """One step for the whole stream."""
        fixed = manifest.cutover.at
        spec: dict[str, Value] = {
            "at": fixed.isoformat() if fixed else None,
            "skew_s": manifest.cutover.skew.total_seconds(),
            "recovery_buffer_s": manifest.cutover.recovery_buffer.total_seconds(),
            "retention_s": min(h.retention for h in manifest.hubs).total_seconds(),
            "topics": sorted(h.name for h in manifest.hubs),
            "names": asdict(manifest.names),
        }
        hubs = {wiring.hub(h.key) for h in manifest.hubs}
        yield Step(wiring.CUTOVER, spec, frozenset({wiring.SCHEMA, *hubs}) | cloud.for_broker(manifest),
                   frozenset({wiring.SCHEMA, *hubs}),
                   manifest.where("cutover"), {"at": manifest.where("cutover.at"),
                                               "skew_s": manifest.where("cutover.skew")})

    def observe(self, step: Step, capabilities: Capabilities) -> Observation:
        """The active record, and whether the broker still holds what it points to."""
        needs = Needs(capabilities)
        if why := why_unreadable(needs.database):
            return unreadable(step.address, why)
        record = active_cutover(needs.database)
        if not needs.broker.reachable():
            return unreadable(step.address, "the broker does not answer") if record else Observation(
                step.address, exists=False)
        groups = list(needs.broker.groups(GROUPS))
        if record is None:
            return Observation(step.address, exists=False, notes={"groups": groups})
        attributes: dict[str, Value] = {
            "id": record.id, "generation": record.generation, "t_cutover": record.t_cutover.isoformat(),
            "group": record.group, "start_offsets": offsets_to_json(record.start_offsets),
            "requested": dict(record.requested), "log": _log_state(needs.broker, record)}
        return Observation(step.address, exists=True, attributes=attributes,
                           notes={"state": record.state, "groups": groups})

    def decide(self, step: Step, seen: Observation, upstream: Mapping[Address, Action]) -> Decision:
        """A new generation where there is none, another T is asked for, or the log behind the record is lost."""
        details: dict[str, Value] = {
            "skew": spoken(float(str(step.spec["skew_s"]))), "retention": _retention(step.spec)}
        if not seen.exists:
            return Decision(Action.RUN, (Reason("absent", "No cutover is recorded yet."),),
                            (Diff("t_cutover", None, step.spec["at"] or UNKNOWN), Diff("group", None, UNKNOWN)),
                            details)
        asked = requested(step.spec)
        if seen.attributes["requested"] != asked:
            return Decision(Action.RUN, (Reason("another-cutover", "The manifest asks for another cutover: a new "
                                                "generation with a new consumer group is taken (P7.2).",
                                                step.positions["at"]),),
                            (Diff("t_cutover", seen.attributes["t_cutover"], step.spec["at"] or UNKNOWN),
                             Diff("group", seen.attributes["group"], UNKNOWN)), details)
        log = str(seen.attributes["log"])
        if log != "ok":
            return Decision(Action.RUN, (Reason("log", f"{log}."),), details=details)
        return Decision(Action.NOOP)

    def decide_delete(self, seen: Observation) -> Decision:
        """The group's offsets are forgotten, which matters on a broker that outlives the environment."""
        if not seen.exists or seen.unreadable:
            return NOTHING_TO_REMOVE
        return Decision(Action.DELETE, (Reason("destroy", "The environment is being destroyed."),),
                        details={"group": seen.attributes["group"]})

    def apply(self, change: Change, capabilities: Capabilities, context: Context) -> Attributes:
        """Record T, W and the group, then commit W; a record whose commit is missing is finished, not repeated."""
        needs = Needs(capabilities)
        if change.action is Action.DELETE:
            self._forget_groups(change, needs)
            return {}
        record = active_cutover(needs.database)
        if record is None or record.requested != requested(change.spec) or \
                _log_state(needs.broker, record) not in ("ok", NOT_COMMITTED):
            record = self._take(change, needs)
        needs.broker.commit(record.group, record.start_offsets)
        says = f"T {record.t_cutover:%Y-%m-%dT%H:%M:%SZ}, group {record.group}"
        return {"says": says, "T": record.t_cutover.isoformat(), "generation": record.generation, "group": record.group,
                "start_offsets": offsets_to_json(record.start_offsets)}

    @staticmethod
    def _forget_groups(change: Change, needs: Needs) -> None:
        for group in needs.broker.groups(consumer_group_prefix(_names(change.spec))):
            needs.broker.delete_group(group)

    @staticmethod
    def _take(change: Change, needs: Needs) -> CutoverRecord:
        broker, spec = needs.broker, change.spec
        topics: Any = spec["topics"]
        skew = timedelta(seconds=float(str(spec["skew_s"])))
        now = broker.now()
        fixed = datetime.fromisoformat(str(spec["at"])) if spec["at"] else None
        at = fixed or now
        start: dict[Partition, int] = {}
        for topic in topics:
            start |= broker.offsets_for_time(topic, at - skew) if fixed else broker.latest_offsets(topic)
        names = _names(spec)
        _alone(change, broker, names)
        _guard(change, broker, start, now - at, skew, fixed=fixed is not None)
        taken = [generation_of(names, group) or 0 for group in broker.groups(consumer_group_prefix(names))]
        generation = max([last_generation(needs.database), *taken]) + 1
        record = CutoverRecord(0, generation, "recorded", at, skew, consumer_group(names, generation), start,
                               requested(spec))
        insert_cutover(needs.database, record, instance=f"{names.env}-{names.owner}")
        return record

    def ready(self, change: Change, capabilities: Capabilities) -> str | None:
        """Ready when the group's start offsets can be read back."""
        if change.action is Action.DELETE:
            return None
        needs = Needs(capabilities)
        record = active_cutover(needs.database)
        if record is None:
            return "the cutover's record is missing"
        state = _log_state(needs.broker, record)
        return None if state == "ok" else state


def _retention(spec: Attributes) -> str:
    """What the hubs keep, and what of it is left for the age of T and the backfill."""
    kept, skew, buffer = (float(str(spec[key])) for key in ("retention_s", "skew_s", "recovery_buffer_s"))
    return f"{spoken(kept)}, of which {spoken(kept - skew - buffer)} are left for the age of T and the backfill"


def requested(spec: Attributes) -> dict[str, Value]:
    """What the manifest asked for: with an automatic T, Δ does not move the start offsets."""
    return {"at": spec["at"], "skew_s": spec["skew_s"] if spec["at"] else None, "topics": spec["topics"]}


def _names(spec: Attributes) -> Names:
    tokens = spec["names"]
    assert isinstance(tokens, Mapping)
    return Names(**tokens)


NOT_COMMITTED = "the group's start offsets are not committed"


def _log_state(broker: Broker, record: CutoverRecord) -> str:
    """`ok`, or why the stream cannot go on from this record."""
    topics = sorted({topic for topic, _ in record.start_offsets})
    committed = broker.committed(record.group, topics)
    for topic in topics:
        try:
            earliest, latest = broker.earliest_offsets(topic), broker.latest_offsets(topic)
        except Refused:
            return f"hub {topic} is gone, and with it the events since the cutover"
        for partition in sorted(p for p in record.start_offsets if p[0] == topic):
            position = committed.get(partition, record.start_offsets[partition])
            if partition not in latest or position > latest[partition]:
                return f"the log of {topic}/{partition[1]} ends before offset {position}: it was made anew"
            if position < earliest[partition]:
                return f"the log of {topic}/{partition[1]} begins after offset {position}: events are missing"
    if any(p not in committed for p in record.start_offsets):
        return NOT_COMMITTED
    return "ok"


def _alone(change: Change, broker: Broker, names: Names) -> None:
    """Refuse, before anything is written, a namespace that other environments read from (P3.1)."""
    others = strange_groups(names, broker.groups(GROUPS))
    if others:
        raise Refused([error("shared-namespace", "Other environments read from this namespace.",
                             f"Consumer groups of others: {', '.join(others[:5])}.",
                             "Name a broker of this environment's own in broker.", position=change.source,
                             address=change.address, rule="P3.1")], exit_code=3)


def _guard(change: Change, broker: Broker, start: Mapping[Partition, int], age: timedelta, skew: timedelta, *,
           fixed: bool) -> None:
    """Refuse before anything is written where the log cannot cover the stream's part (P6.5).

    A broker that no longer has what was published at a fixed T less Δ answers with the log's start. Where something was
    dropped before that, nobody can say that it was not published after T less Δ.
    """
    topics = sorted({topic for topic, _ in start})
    earliest = {p: o for topic in topics for p, o in broker.earliest_offsets(topic).items()}
    lost = [p for p, offset in sorted(start.items()) if fixed and earliest.get(p, 0) >= offset > 0]
    retention = timedelta(seconds=float(str(change.spec["retention_s"])))
    needed = max(age, timedelta()) + skew + timedelta(seconds=float(str(change.spec["recovery_buffer_s"])))
    if lost:
        raise Refused([error("log-start", f"The log of {lost[0][0]}/{lost[0][1]} does not reach back to T less Δ.",
                             f"It begins at offset {start[lost[0]]}; what the stream must read may be gone.",
                             "Take a later T, and a source that covers what is before it.",
                             address=change.address, rule="P6.5")], exit_code=3)
    if needed >= retention:
        raise Refused([error("retention", f"The hubs keep {spoken(retention)}; the cutover needs {spoken(needed)}.",
                             f"Age of T {spoken(age)}, skew {spoken(skew)}, and the recovery buffer add up to that.",
                             "Raise hubs.*.retention, or take a later T.", position=change.source,
                             address=change.address, rule="P6.5")], exit_code=3)


KIND = CutoverKind()
