"""Topic to committed rows: the Faust worker against a plain confluent-kafka loop, same decode, same upsert.

Run: `python -m tests.bench.bench_stream [events] [rounds] [noida|apache]`. Both sides read the same two partitions with
a group of their own into emptied tables, in turn; the time is the database's, from the first batch's
transaction to the last one's. Two CPUs are noisy: the ratio is the figure, not the rate.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

from streamapp import store
from streamapp.contract import ContractViolation, LedgerEntry, decode_ledger, encode
from streamapp.settings import consumer_settings
from tests.streamapp_live.broker import Broker
from tests.streamapp_live.worker import Process, until
from tests.support.postgres import Database, PostgresServer

BATCH = 5000


def records(count: int) -> Iterator[tuple[str, bytes]]:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for i in range(count):
        at = start + timedelta(milliseconds=i)
        amount = Decimal(i % 100_000) / 100
        paid = i % 2 == 0
        entry = LedgerEntry(
            f"tx-{i:012d}", f"wallet-{i % 5000:06d}", "PAYMENT" if paid else "RECEIVE", amount,
            -amount if paid else amount, f"order-{i // 2:012d}", "PAYMENT_ORDER", at, at, at, 1,
        )  # fmt: skip
        yield entry.tx_id, encode(entry)


async def plain_loop(env: dict[str, str], events: int) -> None:
    """The shortest loop that decodes, upserts and commits after the write."""
    from confluent_kafka import Consumer

    settings = consumer_settings(env)
    consumer = Consumer(
        {**settings.kafka.librdkafka(), "group.id": settings.group, "enable.auto.commit": False,
         "auto.offset.reset": "earliest"}
    )  # fmt: skip
    consumer.subscribe([settings.kafka.hub_ledger])
    done = 0
    async with await psycopg.AsyncConnection.connect(settings.postgres.conninfo("plain")) as conn:
        await store.prepare(conn)
        while done < events:
            messages = consumer.consume(BATCH, 1.0)
            envelopes, marks = [], {}
            for message in messages:
                topic, partition, offset = message.topic(), message.partition(), message.offset()
                value = message.value()
                try:
                    body = decode_ledger(value)
                except ContractViolation as violation:
                    body = violation
                envelopes.append(store.Envelope(topic, partition, offset, message.key(), value, body))
                marks[topic, partition] = store.Watermark(offset + 1, offset + 1)
            if envelopes:
                await store.apply_batch(conn, envelopes, store.Progress(settings.group, marks))
                consumer.commit(asynchronous=False)
                done += len(envelopes)
    consumer.close()


def emptied(database: Database) -> None:
    with psycopg.connect(database.conninfo(), autocommit=True) as conn:
        conn.execute("TRUNCATE bo.ledger_entries, bo.payment_orders, bo.stream_progress")
        conn.execute("CHECKPOINT")


def consumed(database: Database) -> int:
    with psycopg.connect(database.conninfo()) as conn:
        row = conn.execute("SELECT coalesce(sum(consumed), 0)::int8 FROM bo.stream_progress").fetchone()
    assert row is not None
    return int(row[0])


def rate(database: Database, events: int) -> float:
    """Events a second between the first and the last batch's transaction."""
    with psycopg.connect(database.conninfo()) as conn:
        row = conn.execute(
            "SELECT extract(epoch FROM max(ingested_at) - min(ingested_at))::float8, count(*), "
            "count(*) FILTER (WHERE ingested_at = (SELECT max(ingested_at) FROM bo.ledger_entries)) "
            "FROM bo.ledger_entries"
        ).fetchone()
    assert row is not None and row[1] == events, row
    return float((events - row[2]) / row[0])


def run_plain(database: Database, env: dict[str, str], events: int) -> float:
    emptied(database)
    subprocess.run(
        [sys.executable, "-m", "tests.bench.bench_stream", "--plain", str(events)],
        env={"PATH": os.environ["PATH"], **env, "WEB_PORT": "1", "STREAM_STATE_DIR": "-"}, check=True,
    )  # fmt: skip
    return rate(database, events)


def run_worker(database: Database, env: dict[str, str], events: int, folder: Path) -> float:
    emptied(database)
    worker = Process("consumer", {**env, "LOG_LEVEL": "WARNING"}, folder)
    try:
        until(lambda: consumed(database) >= events or worker.process.poll(), 300, every=0.5)
        assert worker.process.poll() is None, worker.log.read_text()[-3000:]
        return rate(database, events)
    finally:
        worker.terminate()


def main(events: int = 200_000, rounds: int = 3, engine: str = "noida") -> None:
    table = Table("round", "plain loop, events/s", "Faust worker, events/s", "ratio")
    ratios = []
    with (PostgresServer.started(durable=True) as server, Broker.started(engine) as broker,
          tempfile.TemporaryDirectory() as folder):
        database = server.database()
        ledger, order = broker.topics("bench")
        broker.produce(ledger, records(events))
        for number in range(1, rounds + 1):
            env = {
                **database.environment("bo_consumer"), "KAFKA_BOOTSTRAP": broker.bootstrap,
                "HUB_LEDGER": ledger, "HUB_ORDER": order, "BATCH_MAX_RECORDS": str(BATCH),
            }  # fmt: skip
            plain = run_plain(database, {**env, "CONSUMER_GROUP": f"plain-{number}"}, events)
            worker = run_worker(database, {**env, "CONSUMER_GROUP": f"worker-{number}"}, events, Path(folder))
            ratios.append(worker / plain)
            table.add_row(str(number), f"{plain:,.0f}", f"{worker:,.0f}", f"{worker / plain:.2f}")
    table.add_row("median", "", "", f"{statistics.median(ratios):.2f}")
    Console().print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--plain"]:
        asyncio.run(plain_loop(dict(os.environ), int(sys.argv[2])))
    else:
        main(*(int(number) for number in sys.argv[1:3]), *sys.argv[3:4])
