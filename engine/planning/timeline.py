"""Timeline: the instants of a cutover in their order, and which side covers what between them. Pure.

The instants lie years and seconds apart, so a timeline has an order and no scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from engine.planning.coverage import Coverage

Lane = Literal["backfill", "stream", "waiting", "log"]
LANES: tuple[tuple[Lane, str], ...] = (
    ("backfill", "loaded by the backfill"), ("stream", "applied from the stream"),
    ("waiting", "in the log, not applied yet"), ("log", "held by the log"))


@dataclass(frozen=True, slots=True)
class Mark:
    """An instant, what it is, and the lanes that cover the time from it to the next one."""

    at: datetime
    what: str
    lanes: frozenset[Lane]


@dataclass(frozen=True, slots=True)
class Timeline:
    """All marks in order. `before` holds the lanes that cover the time before the first."""

    environment: str
    generation: int
    group: str
    before: frozenset[Lane]
    marks: tuple[Mark, ...]


def timeline(seen: Coverage) -> Timeline:
    """What was covered by which side. Event times for the backfill, append times for stream and log."""
    record = seen.cutover
    spans = _spans(seen)
    named: dict[datetime, list[str]] = {}

    def mark(at: datetime | None, what: str) -> None:
        if at is not None:
            named.setdefault(at, []).append(what)

    mark(seen.backfill["newest"] if seen.backfill else None, "the last row that the source showed")
    mark(seen.log_from, "the log begins" + (
        "" if any(p.log_start for p in seen.partitions) else "; nothing is dropped yet"))
    if not seen.automatic:
        mark(seen.stream_from, "T - Δ: the start offsets")
    mark(record.t_cutover, "T: the start offsets" if seen.automatic else "T")
    mark(seen.owned_until, "T + Δ: the backfill leaves the rest to the stream")
    mark(seen.read_at, "the backfill reads its source")
    mark(seen.stream_at, "applied up to here")
    mark(seen.at, "now")
    ends = sorted(named)
    cover = [frozenset(lane for lane, (begin, end) in spans.items() if (begin is None or begin <= at) and at < end)
             for at in ends]
    before = frozenset(lane for lane, (begin, _) in spans.items() if begin is None)
    return Timeline(seen.environment, record.generation, record.group, before,
                    tuple(Mark(at, "; ".join(named[at]), lanes) for at, lanes in zip(ends, cover, strict=True)))


def _spans(seen: Coverage) -> dict[Lane, tuple[datetime | None, datetime]]:
    """Each lane's half-open span; a begin of None is from the first row on."""
    spans: dict[Lane, tuple[datetime | None, datetime]] = {}
    if seen.read_at is not None:
        end = seen.read_at if seen.owned_until is None else min(seen.owned_until, seen.read_at)
        spans["backfill"] = (None, end)
    applied = seen.stream_at or seen.stream_from
    if applied > seen.stream_from:
        spans["stream"] = (seen.stream_from, min(applied, seen.at))
    if applied < seen.at:
        spans["waiting"] = (max(applied, seen.stream_from), seen.at)
    if seen.log_from is not None:
        spans["log"] = (seen.log_from, seen.at)
    return spans
