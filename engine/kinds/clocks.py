"""How far the broker's clock is from this machine's, and what the log still holds of an instant.

Owns the measuring. Must not: decide what a difference means.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from engine.providers.base import Broker, Partition

_ASKED = 3


@dataclass(frozen=True, slots=True)
class Skew:
    """The broker's clock is `ahead_s` seconds ahead of ours (behind where negative), give or take `within_s`."""

    now: datetime
    ahead_s: float
    within_s: float

    def exceeds(self, allowed: timedelta) -> bool:
        """Whether it is surely more than `allowed`."""
        return abs(self.ahead_s) - self.within_s > allowed.total_seconds()


def broker_skew(broker: Broker) -> Skew:
    """Asked a few times; the quickest answer says most. Writes the stamps to a topic that no consumer sees."""
    found = []
    for _ in range(_ASKED):
        asked = datetime.now(UTC)
        stamp = broker.now()
        within = (datetime.now(UTC) - asked) / 2
        found.append(Skew(stamp, round((stamp - asked - within).total_seconds(), 3),
                          round(within.total_seconds(), 3)))
    quickest = min(found, key=lambda skew: skew.within_s)
    return Skew(found[-1].now, quickest.ahead_s, quickest.within_s)


def begins_after(broker: Broker, topics: Iterable[str], at: datetime) -> list[str]:
    """The partitions of which nobody can say that the log still holds all that was published from `at` on, as
    `topic/partition begins at offset N`.

    A broker that no longer has it answers with the log's start; where something was dropped before that, nobody can say
    that it was not published after `at`.
    """
    lost: list[str] = []
    for topic in sorted(topics):
        earliest = broker.earliest_offsets(topic)
        found: dict[Partition, int] = dict(broker.offsets_for_time(topic, at))
        lost += [f"{topic}/{number} begins at offset {earliest[topic, number]}" for (_, number), offset
                 in sorted(found.items()) if earliest[topic, number] >= offset > 0]
    return lost
