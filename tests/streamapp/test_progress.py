"""Watermarks and lags of owned partitions: never better than what is known."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import psycopg
from faust.types import TP
from psycopg.rows import TupleRow

from streamapp.consumer.health import Health
from streamapp.consumer.progress import Positions, watermarks
from streamapp.consumer.web import StreamGauges
from streamapp.consumer.writer import BatchWriter
from streamapp.settings import consumer_settings
from streamapp.store import Watermark
from tests.support.postgres import Database

PLACE, OTHER = TP("ledger", 0), TP("orders", 0)


def gauges(positions: Positions) -> dict[tuple[str, str], float]:
    """(metric, topic) to the value, of those that a scrape tells by partition."""
    families = StreamGauges(positions, Health()).collect()
    samples = [sample for family in families for sample in family.samples if sample.labels]
    return {(sample.name, sample.labels["topic"]): sample.value for sample in samples}


def test_a_producers_stamp_of_the_future_counts_as_now() -> None:
    positions = Positions()
    positions.reset({PLACE: 0})
    place = positions.applied(PLACE, 1, time.time() + 86_400)
    assert place.caught_up is not None
    assert place.caught_up <= time.time()


def test_what_is_not_known_of_a_partition_is_told_by_no_gauge() -> None:
    positions = Positions()
    positions.reset({PLACE: 5, OTHER: 5})
    assert gauges(positions) == {} and not positions.all_read()
    positions.places[PLACE] = positions.applied(PLACE, 7, time.time() - 60)
    assert set(gauges(positions)) == {("bo_stream_freshness_seconds", "ledger")}
    asked_at = time.time()
    positions.ended({PLACE: 7, OTHER: 9}, asked_at)
    assert {name: value for name, value in gauges(positions).items() if "lag" in name[0]} == {
        ("bo_stream_lag_records", "ledger"): 0,
        ("bo_stream_lag_records", "orders"): 4,
    }
    assert not positions.all_read()
    assert positions.places[PLACE].caught_up == asked_at and positions.places[OTHER].caught_up is None
    positions.reset({PLACE: 7})
    assert set(gauges(positions)) == {("bo_stream_freshness_seconds", "ledger")}


def test_a_lag_that_was_told_long_ago_is_told_no_more() -> None:
    """A batch that stands still asks the broker nothing; what waited before it says nothing of what waits now."""
    positions = Positions()
    positions.reset({PLACE: 5})
    positions.ended({PLACE: 5}, time.time() - 60)
    assert set(gauges(positions)) == {("bo_stream_freshness_seconds", "ledger")}
    assert gauges(positions)["bo_stream_freshness_seconds", "ledger"] >= 60


def test_every_owned_partition_is_booked() -> None:
    positions = Positions()
    positions.reset({PLACE: 5, OTHER: 3})
    positions.ended({PLACE: 5}, 1.0)
    assert watermarks(positions.places.items()) == {
        ("ledger", 0): Watermark(5, 5, datetime.fromtimestamp(1.0, UTC)),
        ("orders", 0): Watermark(3, None),
    }


def test_an_owned_partition_is_in_the_lag_before_anything_is_read(
    database: Database, owner: psycopg.Connection[TupleRow]
) -> None:
    env = {"KAFKA_BOOTSTRAP": "127.0.0.1:1", "WEB_PORT": "8080", "CONSUMER_GROUP": "g", "STREAM_STATE_DIR": "state"}

    async def own() -> None:
        writer = BatchWriter(consumer_settings(database.environment("bo_consumer") | env), Health())
        await writer.on_positions({PLACE: 5, OTHER: 3})
        await writer.on_stop()

    asyncio.run(own())
    rows = owner.execute("SELECT topic, applied_offset FROM bo.stream_progress ORDER BY 1").fetchall()
    assert rows == [("ledger", 5), ("orders", 3)]
