"""A payment system as a source: two tables and an outbox in PostgreSQL, written while they are read, and a relay that
publishes what was committed.

Owns the truth: what the tables hold at the end is what a copy must hold. Must not know the copy.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from confluent_kafka import Producer

from streamapp.contract import LedgerEntry, PaymentOrder, Record, encode
from tests.support.postgres import Database

LEDGER_TOPIC, ORDER_TOPIC = "ledger.entry.upserted", "payment.order.upserted"
_TABLES = """
CREATE SCHEMA shop;
CREATE TABLE shop.orders (order_id text COLLATE "C" PRIMARY KEY, user_id text, merchant_name text,
    amount numeric(18,2), status text, created_at timestamptz, updated_at timestamptz, version bigint);
CREATE TABLE shop.ledger (tx_id text COLLATE "C" PRIMARY KEY, wallet_id text, entry_type text, amount numeric(18,2),
    amount_signed numeric(18,2), related_id text, related_type text, event_time timestamptz,
    created_at timestamptz, updated_at timestamptz, version bigint);
CREATE TABLE shop.outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text, key text, value bytea);
"""
_PAUSE_S = 0.003


class Shop:
    """The source; `truth` reads it. Writing and publishing are threads that a block holds."""

    def __init__(self, database: Database, seed: int = 7) -> None:
        self.database, self._rng = database, random.Random(seed)
        self._open: list[PaymentOrder] = []
        self.failure: BaseException | None = None
        with self.connect() as connection:
            connection.execute(_TABLES)

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.database.conninfo(), autocommit=True)

    def fill(self, payments: int) -> None:
        """Payments of long ago, which no log holds any more."""
        with self.connect() as connection, connection.cursor() as cursor:
            made = [self._payment(datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=n)) for n in range(payments)]
            for table, kind in (("orders", PaymentOrder), ("ledger", LedgerEntry)):
                with cursor.copy(f"COPY shop.{table} FROM STDIN".encode()) as copy:
                    for row in (r for rows in made for r in rows if isinstance(r, kind)):
                        copy.write_row(row)

    def truth(self) -> dict[str, list[tuple[Any, ...]]]:
        with self.connect() as connection:
            return {"orders": connection.execute("SELECT * FROM shop.orders ORDER BY 1").fetchall(),
                    "ledger": connection.execute("SELECT * FROM shop.ledger ORDER BY 1").fetchall()}

    @contextmanager
    def trading(self, bootstrap: str) -> Iterator[None]:
        """Written and published all the while; at the end everything that was committed is published."""
        stop, written = threading.Event(), threading.Event()
        threads = [threading.Thread(target=self._guarded, args=(self._write, stop)),
                   threading.Thread(target=self._guarded, args=(self._relay, bootstrap, written))]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            threads[0].join()
            written.set()
            threads[1].join()
        assert self.failure is None, self.failure

    def write_one(self, at: datetime) -> None:
        """One payment stamped `at`, committed with its outbox."""
        with self.connect() as connection:
            self._commit(connection, self._payment(at))

    def _guarded(self, work: Any, *arguments: Any) -> None:
        try:
            work(*arguments)
        except BaseException as failure:
            self.failure = failure

    def _write(self, stop: threading.Event) -> None:
        """New payments, stamped now, a day late or days ahead, and updates of earlier ones: anything a day brings."""
        with self.connect() as connection:
            while not stop.wait(_PAUSE_S):
                now, dice = datetime.now(UTC), self._rng.random()
                if dice < 0.4 and self._open:
                    order = self._rng.choice(self._open)
                    self._open.remove(order)
                    order = order._replace(status="REFUNDED", updated_at=now, version=order.version + 1)
                    self._commit(connection, [order])
                elif dice < 0.45:
                    self._commit(connection, self._payment(now - timedelta(days=1)))
                elif dice < 0.5:
                    self._commit(connection, self._payment(now + timedelta(days=3)))
                else:
                    self._commit(connection, self._payment(now))

    def _payment(self, at: datetime) -> list[Record]:
        name, amount = f"{self._rng.getrandbits(64):016x}", Decimal(self._rng.randrange(1, 10**6)) / 100
        order = PaymentOrder(f"o-{name}", f"u-{name[:4]}", "SHOP", amount, "SETTLED", at, at, 1)
        self._open.append(order)
        rows: list[Record] = [order]
        for kind, sign in (("PAYMENT", -1), ("RECEIVE", 1)):
            rows.append(LedgerEntry(f"t-{name}-{kind[0]}", f"w-{name[:3]}{kind[0]}", kind, amount, sign * amount,
                                    order.order_id, "PAYMENT_ORDER", at, at, at, 1))
        return rows

    @staticmethod
    def _commit(connection: psycopg.Connection[Any], rows: list[Record]) -> None:
        with connection.transaction():
            for row in rows:
                order = isinstance(row, PaymentOrder)
                table, key = ("orders", "order_id") if order else ("ledger", "tx_id")
                marks = ", ".join(["%s"] * len(row))
                sets = ", ".join(f"{name} = EXCLUDED.{name}" for name in row._fields[1:])
                upsert = f"INSERT INTO shop.{table} VALUES ({marks}) ON CONFLICT ({key}) DO UPDATE SET {sets}"  # noqa: S608
                connection.execute(upsert.encode(), tuple(row))
                connection.execute("INSERT INTO shop.outbox (topic, key, value) VALUES (%s, %s, %s)",
                                   (ORDER_TOPIC if order else LEDGER_TOPIC, row[0], encode(row)))

    def _relay(self, bootstrap: str, written: threading.Event) -> None:
        """At least once: now and then something is published twice."""
        producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "log_level": 0})
        last, rng = 0, random.Random(1)
        with self.connect() as connection:
            while True:
                ending = written.is_set()
                rows = connection.execute("SELECT id, topic, key, value FROM shop.outbox WHERE id > %s ORDER BY id",
                                          (last,)).fetchall()
                for id_, topic, key, value in rows:
                    for _ in range(2 if rng.random() < 0.05 else 1):
                        producer.produce(topic, key=key, value=value)
                    last = id_
                assert producer.flush(30) == 0
                if ending:
                    return
                written.wait(0.02)
