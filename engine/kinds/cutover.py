"""Cutover: the instant and the offsets that divide backfill from stream (P6.3, P6.4, P7).

Taken before the source is read: what the read does not see was published at or after the start offsets. Ownership is
[.., T) for backfill and [T, ..) for the stream; physically they overlap by Δ, and the total order makes that harmless.
Must not: read the source or touch an entity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.kinds import cloud, holdings, wiring
from engine.kinds.base import NOTHING_TO_REMOVE, Needs, unreadable
from engine.kinds.clocks import begins_after, broker_skew
from engine.kinds.cutover_guards import refuse_bad_clock, refuse_future, refuse_lost_log, refuse_shared_namespace
from engine.kinds.records import (
    CutoverRecord,
    active_cutover,
    insert_cutover,
    last_backfill_run,
    last_generation,
    offsets_to_json,
    remaining_s,
    why_unreadable,
)
from engine.model.address import Address
from engine.model.change import Action, Change, Decision, Diff, Reason
from engine.model.diagnostic import Refused
from engine.model.duration import spoken
from engine.model.manifest import Manifest, Names
from engine.model.observation import Observation
from engine.model.step import Step
from engine.model.value import UNKNOWN, Attributes, Value
from engine.policy.naming import GROUPS, consumer_group, consumer_group_prefix, generation_of
from engine.policy.retention import Need
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
            return replace(unreadable(step.address, why), notes={"in_use": _group_in_use(needs)})
        record = active_cutover(needs.database)
        if not needs.broker.reachable():
            return replace(unreadable(step.address, "the broker does not answer"),
                           notes={"in_use": record.group}) if record else Observation(step.address, exists=False)
        groups = list(needs.broker.groups(GROUPS))
        notes: dict[str, Value] = {"groups": groups, "events": holdings.events(
            needs.broker, _own_topics(step, capabilities)), **_lost(step.spec, needs.broker)}
        if record is None:
            return Observation(step.address, exists=False, notes=notes)
        attributes: dict[str, Value] = {
            "id": record.id, "generation": record.generation, "t_cutover": record.t_cutover.isoformat(),
            "group": record.group, "start_offsets": offsets_to_json(record.start_offsets),
            "requested": dict(record.requested), "log": _log_state(needs.broker, record)}
        return Observation(step.address, exists=True, attributes=attributes,
                           notes={**notes, **_standing(record, needs)})

    def decide(self, step: Step, seen: Observation, upstream: Mapping[Address, Action]) -> Decision:
        """A new generation where there is none, another T is asked for, or the log behind the record is lost."""
        details: dict[str, Value] = {
            "skew": spoken(float(str(step.spec["skew_s"]))), "retention": _retention(step.spec)}
        if not seen.exists:
            return Decision(Action.RUN, (Reason("absent", "No cutover is recorded yet."),),
                            (Diff("t_cutover", None, step.spec["at"] or UNKNOWN),
                             Diff("group", None, _next_group(step.spec))), details)
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
        if outrun(step.spec, seen.notes):
            return Decision(Action.RUN, (Reason(
                "retention", "The log may lose events before the backfill is done, so a new cutover is taken: "
                f"{need_of(step.spec, seen.notes).evidence}."),), details=details)
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
                outrun(change.spec, _standing(record, needs)) or \
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
        clock = broker_skew(broker)
        now = clock.now
        fixed = datetime.fromisoformat(str(spec["at"])) if spec["at"] else None
        at = fixed or now
        refuse_bad_clock(change, clock, skew)
        refuse_future(change, at, now + skew)
        start: dict[Partition, int] = {}
        for topic in topics:
            start |= broker.offsets_for_time(topic, at - skew) if fixed else broker.latest_offsets(topic)
        names = _names(spec)
        refuse_shared_namespace(change, broker, names)
        refuse_lost_log(change, need_of(spec, {"age_s": (now - at).total_seconds()}),
                        begins_after(broker, topics, at - skew) if fixed else [])
        used = [generation_of(names, group) or 0 for group in broker.groups(consumer_group_prefix(names))]
        generation = max([last_generation(needs.database), int(str(spec.get(AFTER, 0))), *used]) + 1
        earliest = {p: o for topic in topics for p, o in broker.earliest_offsets(topic).items()}
        taken = {"broker_ahead_s": clock.ahead_s, "within_s": clock.within_s, "retention_s": spec["retention_s"],
                 "recovery_buffer_s": spec["recovery_buffer_s"], "log_start": offsets_to_json(earliest)}
        record = CutoverRecord(0, generation, "recorded", at, skew, consumer_group(names, generation), start,
                               requested(spec), taken=taken)
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


LOADING = ("recorded", "backfilling", "backfilled")
"""The states of a cutover that no consumer reads from yet: what the log holds has to last until one does."""


def _standing(record: CutoverRecord, needs: Needs) -> dict[str, Value]:
    """{state, age_s, remaining_s}: how a cutover stands now; no `remaining_s` where nobody can tell."""
    found: dict[str, Value] = {"state": record.state,
                               "age_s": (datetime.now(UTC) - record.t_cutover).total_seconds()}
    run = last_backfill_run(needs.database, record.id) if record.state in LOADING else None
    left = remaining_s(run)
    return found if left is None else {**found, "remaining_s": left}


def outrun(spec: Attributes, notes: Attributes) -> bool:
    """Whether a cutover that nobody reads from yet has outlived what the log keeps for it."""
    return notes.get("state") in LOADING and not need_of(spec, notes).fits


def need_of(spec: Attributes, notes: Attributes) -> Need:
    """What a cutover with these notes (`age_s`, `remaining_s`) needs of the retention that `spec` declares."""
    remaining = notes.get("remaining_s")
    return Need(timedelta(seconds=float(str(notes.get("age_s", 0.0)))), _span(spec["skew_s"]),
                None if remaining is None else _span(remaining), _span(spec["recovery_buffer_s"]),
                _span(spec["retention_s"]))


def _span(seconds: Value) -> timedelta:
    return timedelta(seconds=float(str(seconds)))


def _lost(spec: Attributes, broker: Broker) -> dict[str, Value]:
    """{lost}: where the log no longer reaches back to a fixed T less Δ; empty where T is not fixed, or no hub is there
    to ask."""
    if not spec["at"]:
        return {}
    topics: Any = spec["topics"]
    try:
        return {"lost": begins_after(broker, topics, datetime.fromisoformat(str(spec["at"])) - _span(spec["skew_s"]))}
    except Refused:
        return {}


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


AFTER = "after_generation"
"""The key of a spec with the generation that was there before the environment is built anew: the next one is above it,
although its record goes with the database."""


def _next_group(spec: Attributes) -> Value:
    return consumer_group(_names(spec), int(str(spec[AFTER])) + 1) if AFTER in spec else UNKNOWN


def _own_topics(step: Step, capabilities: Capabilities) -> list[str]:
    """The hubs whose events are this environment's to lose."""
    hubs, topics = capabilities.resources.get("hub"), step.spec["topics"]
    assert isinstance(topics, list | tuple)
    own = set(hubs.inventory()) if hubs else set()
    return [str(topic) for topic in topics if topic in own]


def _group_in_use(needs: Needs) -> str | None:
    """The group that the consumer was started with, which its host knows when the record cannot be read."""
    apps = needs.capabilities.apps
    state = apps.describe(wiring.CONSUMER.name) if apps else None
    return state.environment.get("CONSUMER_GROUP") if state else None


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


KIND = CutoverKind()
