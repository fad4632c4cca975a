"""Coverage: how a cutover stands now, and which side covers what. Reads only.

Owns the reading of the record, the log, the group and the books of the backfill. Must not: decide, record or
print; a stamp in the broker's own clock topic is the one thing that it writes, to ask what time it is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import sql

from engine.kinds.base import Needs
from engine.kinds.clocks import broker_skew
from engine.kinds.records import (
    CutoverRecord,
    Reprocessing,
    active_cutover,
    last_backfill_run,
    read,
    remaining_s,
    reprocessings,
    why_unreadable,
)
from engine.model.diagnostic import Diagnostic, Refused, error, warning
from engine.model.duration import spoken
from engine.model.step import Environment
from engine.providers.base import Broker, Capabilities, GroupState


@dataclass(frozen=True, slots=True)
class PartitionCover:
    """One partition of the stream. Offsets are exclusive ends: the next to read. `replayable` while the log still
    holds the start offset, which it does until `replay_until` at least."""

    topic: str
    partition: int
    log_start: int
    start: int
    committed: int | None
    end: int
    replayable: bool
    replay_until: datetime | None

    @property
    def lag(self) -> int:
        """Records that the group has not read."""
        return max(self.end - (self.start if self.committed is None else self.committed), 0)


@dataclass(frozen=True, slots=True)
class Coverage:
    """A cutover now. Times are UTC; `ends` are exclusive. Empty or None where nothing is known."""

    environment: str
    at: datetime
    cutover: CutoverRecord
    group: GroupState
    partitions: tuple[PartitionCover, ...]
    backfill: Mapping[str, Any] | None
    backfill_left_s: float | None
    read_at: datetime | None
    """When the backfill began to read its source."""

    stream_from: datetime
    stream_at: datetime | None
    """Up to when all that was published is applied."""

    log_from: datetime | None
    """The stamp of the oldest record that every partition still holds."""

    broker_ahead_s: float
    within_s: float
    reprocessings: tuple[Reprocessing, ...]
    warnings: tuple[Diagnostic, ...]

    @property
    def automatic(self) -> bool:
        """Whether T is the instant at which the cutover was taken."""
        return self.cutover.requested.get("at") is None

    @property
    def owned_until(self) -> datetime | None:
        """Up to which event time the backfill loads; None where it loads all that it reads."""
        return None if self.automatic else self.cutover.t_cutover + self.cutover.skew


def read_coverage(environment: Environment, capabilities: Capabilities) -> Coverage:
    """The active cutover's coverage; raises Refused where there is none, or a server does not answer."""
    needs = Needs(capabilities)
    require_environment(environment.name, capabilities)
    if why := why_unreadable(needs.database):
        raise Refused([error("database-away", f"The cutover cannot be read: {why}.",
                             mend="Start what is down: txplan apply MANIFEST")])
    record = active_cutover(needs.database)
    if record is None:
        raise Refused([error("no-cutover", f"{environment.name} has no cutover yet.", mend="txplan apply MANIFEST")])
    broker, now = needs.broker, datetime.now(UTC)
    clock = broker_skew(broker)
    since = record.t_cutover if record.requested.get("at") is None else record.t_cutover - record.skew
    kept = _retention(capabilities, {topic for topic, _ in record.start_offsets})
    places = tuple(_places(broker, record, since, kept))
    run = last_backfill_run(needs.database, record.id)
    [(stream_at,)] = read(needs.database, sql.SQL(
        "SELECT min(caught_up_at) FROM bo.stream_progress WHERE consumer_group = %(group)s"),
        {"group": record.group}) or [(None,)]
    found = Coverage(
        environment.name, now, record, broker.describe_group(record.group), places, run, remaining_s(run),
        _when(record.snapshot.get("at")) or (run["started_at"] if run else None), since, stream_at,
        _log_from(broker, places), clock.ahead_s, clock.within_s,
        tuple(reprocessings(needs.database, record.id)), tuple(_clock_warnings(record, clock.ahead_s, clock.within_s)))
    return found


def require_environment(name: str, capabilities: Capabilities) -> None:
    """Raises Refused where the environment does not exist."""
    if not capabilities.resources["group"].inventory():
        raise Refused([error("no-environment", f"{name} does not exist here.", mend="txplan apply MANIFEST")])


def _places(broker: Broker, record: CutoverRecord, since: datetime,
            kept: Mapping[str, timedelta]) -> list[PartitionCover]:
    topics = sorted({topic for topic, _ in record.start_offsets})
    committed = broker.committed(record.group, topics)
    found = []
    for topic in topics:
        earliest, latest = broker.earliest_offsets(topic), broker.latest_offsets(topic)
        for place, start in sorted(record.start_offsets.items()):
            if place[0] == topic and place in latest:
                found.append(PartitionCover(
                    topic, place[1], earliest[place], start, committed.get(place), latest[place],
                    earliest[place] <= start, since + kept[topic] if topic in kept else None))
    return found


def _retention(capabilities: Capabilities, topics: set[str]) -> dict[str, timedelta]:
    """What each hub keeps now; none for a hub that cannot be read."""
    hubs = capabilities.resources["hub"]
    found = {topic: hubs.observe(topic) for topic in topics}
    return {topic: timedelta(hours=float(str(live["retention_hours"]))) for topic, live in found.items()
            if live is not None and "retention_hours" in live}


def _log_from(broker: Broker, places: tuple[PartitionCover, ...]) -> datetime | None:
    """From when on nothing is dropped: the latest first record of the partitions that have lost some, else the
    earliest of all."""
    stamps = broker.stamps({(p.topic, p.partition): p.log_start for p in places})
    cut = [stamps[p.topic, p.partition] for p in places if p.log_start and (p.topic, p.partition) in stamps]
    return max(cut) if cut else min(stamps.values(), default=None)


def _clock_warnings(record: CutoverRecord, broker_ahead_s: float, within_s: float) -> list[Diagnostic]:
    """A clock that differs by more than half of Δ is told before it is refused."""
    source = record.snapshot.get("ahead_of_broker_s")
    clocks = {"The broker's clock differs from this machine's": abs(broker_ahead_s) - within_s}
    if isinstance(source, int | float):
        clocks["The source's clock differed from the broker's"] = abs(source)
    return [warning("clock-skew", f"{what} by {spoken(off)}; Δ is {spoken(record.skew)}.",
                    "Beyond Δ a new cutover is refused.", "Set the clocks (NTP).", rule="P6.3")
            for what, off in clocks.items() if off > record.skew.total_seconds() / 2]


def _when(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
