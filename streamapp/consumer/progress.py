"""How far each owned partition is: positions, the log's ends, and the watermark.

Owns: the arithmetic of watermarks, in memory. Must not: ask the broker or write to the database.

A partition's watermark is the time up to which everything appended to it is applied. Two facts move
it, and it only ever grows while the partition is owned: after a batch it is at least the append time
of the batch's last record, or now where a producer's clock stamped that one ahead of ours; and where
the position has reached the log's end, it is the moment just before that end was asked for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from faust.types import TP

from streamapp.store import Watermark


@dataclass(frozen=True)
class Place:
    """One partition. Offsets are exclusive: the next to apply, and the log's end. Time in epoch seconds.

    None is what is not known yet; it is never told as 0.
    """

    position: int
    end: int | None = None
    caught_up: float | None = None
    #: When the end was asked for.
    ended_at: float | None = None

    @property
    def lag(self) -> int | None:
        """Records that wait on the broker, as last known."""
        return None if self.end is None else max(0, self.end - self.position)


#: An end that is older than this says nothing of how much waits now.
END_KEEPS_S = 5.0


class Positions:
    """The owned partitions."""

    def __init__(self) -> None:
        self.places: dict[TP, Place] = {}

    def reset(self, positions: Mapping[TP, int]) -> None:
        """After a rebalance: these are owned now, and go on from here."""
        kept = self.places
        self.places = {
            tp: Place(offset, None, kept[tp].caught_up if tp in kept else None) for tp, offset in positions.items()
        }

    def applied(self, tp: TP, position: int, appended: float) -> Place:
        """The place after a batch whose last record was appended at ``appended``; not stored yet."""
        known = self.places.get(tp, Place(position))
        end = None if known.end is None else max(known.end, position)
        return Place(position, end, _later(known.caught_up, min(appended, time.time())), known.ended_at)

    def ended(self, ends: Mapping[TP, int], asked_at: float) -> None:
        """The broker told the ends, after ``asked_at``."""
        for tp, end in ends.items():
            known = self.places.get(tp)
            if known is not None:
                caught_up = _later(known.caught_up, asked_at) if known.position >= end else known.caught_up
                self.places[tp] = Place(known.position, end, caught_up, asked_at)

    def lag_now(self, tp: TP) -> int | None:
        """Records that wait; None where the broker's answer is too old to say so."""
        place = self.places[tp]
        fresh = place.ended_at is not None and time.time() - place.ended_at <= END_KEEPS_S
        return place.lag if fresh else None

    def all_read(self) -> bool:
        """Whether no record of any owned partition waits on the broker, as far as that is known of each."""
        return all(place.lag == 0 for place in self.places.values())


def watermarks(places: Iterable[tuple[TP, Place]]) -> dict[tuple[str, int], Watermark]:
    """As the store books them, also those of which little is known: the lag is that of all owned partitions."""
    return {
        (tp.topic, tp.partition): Watermark(
            place.position,
            place.end,
            None if place.caught_up is None else datetime.fromtimestamp(place.caught_up, UTC),
        )
        for tp, place in places
    }


def _later(known: float | None, seen: float) -> float:
    return seen if known is None else max(known, seen)
