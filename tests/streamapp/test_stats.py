"""What the API counts of the store: dead letters by origin and pairs by age, in the windows it was given."""

from __future__ import annotations

import asyncio

import psycopg
from psycopg.rows import TupleRow

from streamapp.api.server import new_pool
from streamapp.api.stats import Lag, Stats
from streamapp.settings import postgres_settings
from tests.support.postgres import Database

Owner = psycopg.Connection[TupleRow]
Gauges = dict[tuple[str, str], float]


def gauges(database: Database, dlq_window: int, pairs_settled: int) -> Gauges:
    """(metric, its label) to the value, as one scrape by the API's own role tells it."""

    async def scrape() -> Gauges:
        async with new_pool(postgres_settings(database.environment("bo_api"))) as pool:
            stats = Stats(pool, Lag(pool), dlq_window, pairs_settled)
            await stats.refresh()
            return {
                (sample.name, "".join(sample.labels.values())): sample.value
                for family in stats.collect()
                for sample in family.samples
            }

    return asyncio.run(scrape())


def test_dead_letters_by_origin_in_the_window(database: Database, owner: Owner) -> None:
    for topic, minutes in (("file:x", 1), ("table:s.t", 3), ("synthetic:orders", 7), ("payments.table", 3)):
        owner.execute(
            'INSERT INTO bo.consumer_dlq_events (topic, partition, "offset", error_class, error_detail, created_at) '
            "VALUES (%s, 0, 1, 'a', 'b', now() - make_interval(mins => %s))",
            (topic, minutes),
        )
    found = gauges(database, 300, 300)
    assert (found["bo_dlq_rows", "backfill"], found["bo_dlq_rows", "stream"]) == (3, 1)
    for window, backfill, stream in ((600, 3, 1), (300, 2, 1), (120, 1, 0)):
        found = gauges(database, window, 300)
        assert (found["bo_dlq_recent_rows", "backfill"], found["bo_dlq_recent_rows", "stream"]) == (backfill, stream)


def test_pairs_of_orders_that_settled_long_enough_ago(database: Database, owner: Owner) -> None:
    owner.execute(
        "INSERT INTO bo.payment_orders (order_id, amount, status, created_at, src) "
        "SELECT minutes::text, 1, 'SETTLED', now() - make_interval(mins => minutes), 'stream' "
        "FROM unnest(ARRAY[1, 4, 7]) AS minutes"
    )
    counted = [gauges(database, 300, seconds)["bo_pairs", "INCOMPLETE"] for seconds in (0, 120, 300, 600)]
    assert counted == [3, 2, 1, 0]
