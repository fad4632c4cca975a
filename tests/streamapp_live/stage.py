"""What a test of the running service needs: its database, its topics, its processes, and questions to them.

Owns the processes started for one test and ends them. Must not compute an expectation by the code under
test: books and tables are read with plain SQL, group offsets with another client.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Consumer, TopicPartition

from streamapp.contract import LedgerEntry, PaymentOrder, encode, key_of
from tests.streamapp_live.broker import Broker
from tests.streamapp_live.worker import Process, until
from tests.support.postgres import PostgresServer

TOKEN = "open-sesame"
START = datetime(2026, 1, 1, tzinfo=UTC)
BOOKS = ("consumed", "applied", "duplicate", "stale", "dlq")


def entry(number: int, version: int = 1, **changes: Any) -> LedgerEntry:
    """The PAYMENT (even) or RECEIVE (odd) of order number // 2."""
    at = START + timedelta(seconds=number)
    paid = number % 2 == 0
    amount = Decimal(number // 2 % 9000 + 1)
    made = LedgerEntry(
        f"tx-{number}", f"wallet-{number % 7}", "PAYMENT" if paid else "RECEIVE", amount,
        -amount if paid else amount, f"order-{number // 2}", "PAYMENT_ORDER", at, at, at, version,
    )  # fmt: skip
    return made._replace(**changes)


def order(number: int, **changes: Any) -> PaymentOrder:
    at = START + timedelta(seconds=number * 2)
    made = PaymentOrder(
        f"order-{number}", f"user-{number}", "a merchant", Decimal(number % 9000 + 1), "SETTLED", at, at, 1
    )
    return made._replace(**changes)


def message(record: LedgerEntry | PaymentOrder) -> tuple[str, bytes]:
    return key_of(record), encode(record)


def entries(first: int, last: int) -> Iterator[tuple[str, bytes]]:
    return (message(entry(number)) for number in range(first, last))


class Stage:
    """One test's environment."""

    def __init__(
        self, server: PostgresServer, broker: Broker, folder: Path, config: Mapping[str, str] | None = None
    ) -> None:
        self.server, self.broker, self.folder = server, broker, folder
        self.database = server.database()
        self.group = f"group-{uuid.uuid4().hex[:8]}"
        self.ledger, self.order = broker.topics(self.group, config=config)
        self.processes: list[Process] = []

    def environment(self, role: str) -> dict[str, str]:
        return {
            **self.database.environment(role),
            "KAFKA_BOOTSTRAP": self.broker.bootstrap,
            "HUB_LEDGER": self.ledger,
            "HUB_ORDER": self.order,
            "CONSUMER_GROUP": self.group,
        }

    def consumer(self, ready: bool = True, like: Process | None = None, **env: str) -> Process:
        """A consumer; `like` another is the one that the supervisor starts in its place."""
        return self._start("consumer", {**self.environment("bo_consumer"), **env}, ready, like)

    def api(self, ready: bool = True, like: Process | None = None, **env: str) -> Process:
        credentials = {"API_CREDENTIALS": json.dumps({"kim": TOKEN, "lee": "another"})}
        return self._start("api", {**self.environment("bo_api"), **credentials, **env}, ready, like)

    def _start(self, job: str, env: dict[str, str], ready: bool, like: Process | None = None) -> Process:
        process = Process(job, env, self.folder, like)
        self.processes.append(process)
        return process.ready() if ready else process

    def end(self) -> None:
        for process in self.processes:
            process.kill()

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database.conninfo(), autocommit=True) as conn:
            return conn.execute(query.encode(), values).fetchall()

    def run(self, statement: str) -> None:
        with psycopg.connect(self.database.conninfo(), autocommit=True) as conn:
            conn.execute(statement.encode())

    def one(self, query: str, *values: Any) -> Any:
        return self.rows(query, *values)[0][0]

    def count(self) -> int:
        return int(self.one("SELECT count(*) FROM bo.ledger_entries"))

    def books(self) -> dict[str, int]:
        sums = ", ".join(f"coalesce(sum({name}), 0)::int8" for name in (*BOOKS, "conflict"))
        row = self.rows(f"SELECT {sums} FROM bo.stream_progress WHERE consumer_group = %s", self.group)[0]  # noqa: S608
        return dict(zip((*BOOKS, "conflict"), row, strict=True))

    def passed_over(self) -> int:
        """Offsets from the log's start to the position that were never consumed."""
        found = "SELECT sum(began_at + passed_over)::int8 FROM bo.stream_progress WHERE consumer_group = %s"
        return int(self.one(found, self.group))

    def applied_offsets(self) -> dict[tuple[str, int], int]:
        found = self.rows(
            "SELECT topic, partition, applied_offset FROM bo.stream_progress WHERE consumer_group = %s", self.group
        )
        return {(topic, partition): offset for topic, partition, offset in found}

    def group_offsets(self) -> dict[tuple[str, int], int]:
        """The group's committed offsets, asked by a client that is no member; -1001 where there is none."""
        client = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": self.group, "log_level": 0})
        try:
            places = [TopicPartition(topic, number) for topic in (self.ledger, self.order) for number in (0, 1)]
            return {(place.topic, place.partition): place.offset for place in client.committed(places, timeout=10)}
        finally:
            client.close()

    def settled(self, rows: int, seconds: float = 60.0) -> None:
        """Wait until the table has so many entries and the group's offsets say so too."""
        until(lambda: self.count() >= rows, seconds)
        until(lambda: self.committed() == {k: v for k, v in self.applied_offsets().items() if v}, seconds)

    def committed(self) -> dict[tuple[str, int], int]:
        return {place: offset for place, offset in self.group_offsets().items() if offset > 0}
