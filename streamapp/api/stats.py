"""What the API knows of the stream and the store as a whole: the lag, the pairs, the dead letters.

Owns: how often these are read (the lag at most once a second, the counts at most as often as they
are cheap) and the gauges made of them. Must not: serve a stale lag: it is computed at the moment it
is asked for, so a consumer that stopped shows as growing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import asyncpg  # type: ignore[import-untyped]
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

# The group that wrote last is the one that serves: a rebuild takes a new group (P7.2), and the rows of
# the groups before it stay behind as they were. The database's clock is the only one asked here.
LAG = """
SELECT extract(epoch FROM clock_timestamp() - min(caught_up_at))::float8 FROM bo.stream_progress
WHERE consumer_group = (SELECT consumer_group FROM bo.stream_progress ORDER BY updated_at DESC LIMIT 1)
"""
# Orders that settled more than $1 seconds ago, each with the state of its payment's pair.
PAIRS = """
SELECT coalesce(p.pairing_status, 'INCOMPLETE') AS status, count(*)::float8 AS pairs
FROM bo.payment_orders o
LEFT JOIN bo.payment_ledger_pairs p ON p.related_id = o.order_id AND p.pair_kind = 'PAYMENT'
WHERE bo.status_group(o.status) = 'SUCCESS'
  AND coalesce(o.updated_at, o.created_at) < clock_timestamp() - make_interval(secs => $1)
GROUP BY 1
"""
# By origin, and as recent those of the last $1 seconds. A backfill names its source with a colon, which no hub's
# name can hold.
DLQ = """
SELECT CASE WHEN topic ~ '^(file|table|synthetic):' THEN 'backfill' ELSE 'stream' END AS origin,
       count(*) FILTER (WHERE resolved_at IS NULL)::float8 AS unresolved,
       count(*) FILTER (WHERE created_at > clock_timestamp() - make_interval(secs => $1))::float8 AS recent
FROM bo.consumer_dlq_events GROUP BY 1
"""
PAIR_STATES = ("COMPLETE", "INCOMPLETE", "MISMATCH")
ORIGINS = ("backfill", "stream")

LAG_SECONDS = 1.0
COUNTS_SECONDS = 5.0
#: A count that takes t seconds is not taken again for this many times t.
COUNTS_REST = 10.0


class Lag:
    """How far the store is behind the stream, in seconds; None before any consumer has written."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")
        self._seconds: float | None = None

    def fresh(self) -> bool:
        """Whether the last reading is young enough to count on from."""
        return time.monotonic() - self._read_at < LAG_SECONDS

    async def seconds(self) -> float | None:
        """The lag now, read anew where that is due. Raises what the pool raises where the database is away."""
        if not self.fresh():
            async with self._lock:
                if not self.fresh():
                    self._seconds = await self._pool.fetchval(LAG, timeout=5)
                    self._read_at = time.monotonic()
        return self.now()

    def now(self) -> float | None:
        """The lag now, counted on from the last reading."""
        if self._seconds is None:
            return None
        return max(0.0, round(self._seconds + time.monotonic() - self._read_at, 3))


class Stats(Collector):
    """Gauges of the store for one scrape; call ``refresh`` before. What is not known is left out.

    Seconds: ``dlq_window`` is how long a dead letter is recent, ``pairs_settled`` how old a counted order is.
    """

    def __init__(self, pool: asyncpg.Pool, lag: Lag, dlq_window: int, pairs_settled: int) -> None:
        self._pool = pool
        self._lag = lag
        self._dlq_window = dlq_window
        self._pairs_settled = pairs_settled
        self._lock = asyncio.Lock()
        self._next_counts = float("-inf")
        self._counted_at: float | None = None
        self._lag_seconds: float | None = None
        self._pairs: dict[str, float] | None = None
        self._dead: dict[str, tuple[float, float]] | None = None

    async def refresh(self) -> None:
        """Read what is due. A database that is away empties the gauges: no data, never an old value."""
        async with self._lock:
            try:
                self._lag_seconds = await self._lag.seconds()
                if time.monotonic() >= self._next_counts:
                    await self._count()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                self._lag_seconds = self._pairs = self._dead = self._counted_at = None
                self._next_counts = float("-inf")

    async def _count(self) -> None:
        begun, counted_at = time.monotonic(), time.time()
        settled = await self._pool.fetch(PAIRS, self._pairs_settled, timeout=60)
        pairs = {row["status"]: row["pairs"] for row in settled}
        self._pairs = {state: pairs.get(state, 0.0) for state in PAIR_STATES}
        letters = await self._pool.fetch(DLQ, self._dlq_window, timeout=60)
        dead = {row["origin"]: (row["unresolved"], row["recent"]) for row in letters}
        self._dead = {origin: dead.get(origin, (0.0, 0.0)) for origin in ORIGINS}
        self._counted_at = counted_at
        taken = time.monotonic() - begun
        self._next_counts = begun + max(COUNTS_SECONDS, taken * COUNTS_REST)

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        lag = GaugeMetricFamily("bo_data_lag_seconds", "How far the store is behind the stream now.")
        if self._lag_seconds is not None:
            lag.add_metric([], self._lag_seconds)
        pairs = GaugeMetricFamily(
            "bo_pairs",
            f"Orders settled more than {self._pairs_settled} s ago, by the state of their pair.",
            labels=["status"],
        )
        for state, count in (self._pairs or {}).items():
            pairs.add_metric([state], count)
        unresolved = GaugeMetricFamily("bo_dlq_rows", "Dead letters not resolved yet.", labels=["origin"])
        recent = GaugeMetricFamily(
            "bo_dlq_recent_rows", f"Dead letters of the last {self._dlq_window} s.", labels=["origin"]
        )
        for origin, (open_rows, new_rows) in (self._dead or {}).items():
            unresolved.add_metric([origin], open_rows)
            recent.add_metric([origin], new_rows)
        counted = GaugeMetricFamily("bo_counted_timestamp_seconds", "When pairs and dead letters were counted.")
        if self._counted_at is not None:
            counted.add_metric([], self._counted_at)
        yield from (lag, pairs, unresolved, recent, counted)
