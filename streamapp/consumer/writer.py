"""The database side of the stream: decode a batch, write it in one transaction, try again, put aside.

Owns: the connection, the retry with backoff, the search for a row that the database refuses, and the
heartbeat. Must not: poll, commit offsets, or define what a row or an order is (``contract``, ``store``).

A transient fault is retried for as long as the partitions are ours, and commits nothing. Only a
deterministic fault of one record goes to the dead letters, in the same transaction as the rest of its
batch, so before its offset is committed. A fault that is neither (and so also a dead letter that
cannot be written) stops the worker, which says why.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from faust.types import TP
from mode import Service
from prometheus_client import CollectorRegistry

from streamapp import metrics, store
from streamapp.consumer.batches import BatchAbandoned, Fetched, Owner
from streamapp.consumer.faults import Fault, classify, plain
from streamapp.consumer.health import Health
from streamapp.consumer.progress import Place, Positions, watermarks
from streamapp.contract import ContractViolation, decode_ledger, decode_order
from streamapp.settings import ConsumerSettings
from streamapp.store import Connection, Counts, Envelope, Progress

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 1.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
Books = Mapping[tuple[str, int], Counts]
OUTCOMES = ("applied", "duplicate", "stale", "conflict", "dlq")


class WriterFault(Exception):
    """The database refuses in a way that neither waiting nor a dead letter mends."""


class BatchWriter(Service):
    """Writes batches; a service of the Faust app, started before its consumer and stopped after it."""

    def __init__(self, settings: ConsumerSettings, health: Health) -> None:
        self.settings = settings
        self.health = health
        self.positions = Positions()
        self.registry: CollectorRegistry = metrics.new_registry(settings.web.revision)
        self._records = metrics.stream_records(self.registry)
        self._batch_seconds = metrics.batch_seconds(self.registry)
        kafka = settings.kafka
        self._decoders = {kafka.hub_ledger: decode_ledger, kafka.hub_order: decode_order}
        self._connection: Connection | None = None
        self._next_heartbeat = 0.0
        #: When the log's ends were asked for (epoch seconds), and the answer to come.
        self._asking: tuple[float, asyncio.Future[dict[TP, int]]] | None = None
        super().__init__()

    async def on_stop(self) -> None:
        if self._asking is not None:
            self._asking[1].cancel()
        await self._disconnect()

    def on_poll(self) -> None:
        """The loop turned."""
        self.health.turned()

    def on_silence(self, fault: str) -> None:
        """The broker does not answer; waiting for it is all there is to do, and no reason to be restarted."""
        self.health.broker_fault = fault
        self.health.turned()
        self.health.advanced()

    async def on_positions(self, positions: Mapping[TP, int]) -> None:
        """A rebalance is over: these partitions are ours, from these offsets."""
        self.positions.reset(positions)
        self.health.joined = True
        self.health.partitions = len(positions)
        self.health.advanced()
        self._next_heartbeat = 0.0
        log.info("owned: %s", {f"{tp.topic}/{tp.partition}": offset for tp, offset in positions.items()})
        # Before anything is read, so that no batch of one partition is booked while the lag ignores another.
        await self._beat()

    async def write(self, batch: Fetched, owner: Owner) -> None:
        """Decode and write a batch, however often that takes; see ``BatchHandler``."""
        begun = time.monotonic()
        envelopes = self._decode(batch)
        places = {
            tp: self.positions.applied(tp, rows[-1].offset + 1, rows[-1].timestamp / 1000) for tp, rows in batch.items()
        }
        pause, refused = FIRST_PAUSE, None
        while True:
            try:
                if refused is not None:
                    await self._put_aside(envelopes, refused, owner)
                    refused = None
                books = await self._write_once(envelopes, places)
                break
            except (WriterFault, BatchAbandoned):
                raise
            except Exception as error:
                match classify(error):
                    case Fault.TRANSIENT:
                        pause = await self._wait(error, owner, pause)
                    case Fault.DATA:
                        refused = error
                    case Fault.FATAL:
                        raise WriterFault(f"the batch cannot be written: {plain(error)}") from None
        self.positions.places.update(places)
        self.health.advanced()
        self._count(books)
        self._batch_seconds.observe(time.monotonic() - begun)

    async def on_turn(self, owner: Owner) -> None:
        """The heartbeat: about once a second, ask for the log's ends and book the watermarks.

        The broker answers beside the batches, never between them: it may take as long as a fetch waits.
        """
        if self._asking is None:
            if time.monotonic() >= self._next_heartbeat:
                self._next_heartbeat = time.monotonic() + HEARTBEAT_SECONDS
                self._asking = (time.time(), asyncio.ensure_future(owner.end_offsets()))
            return
        asked_at, answer = self._asking
        if not answer.done():
            return
        self._asking = None
        try:
            self.positions.ended(answer.result(), asked_at)
            self.health.broker_fault = None
        except TimeoutError as error:
            self.on_silence(type(error).__name__)
        if self.positions.all_read():
            self.health.advanced()
        await self._beat()

    async def _beat(self) -> None:
        try:
            conn = await self._connected()
            await store.heartbeat(conn, Progress(self.settings.group, watermarks(self.positions.places.items())))
            self.health.database_fault = None
        except Exception as error:
            if classify(error) is not Fault.TRANSIENT:
                raise WriterFault(f"progress cannot be booked: {plain(error)}") from None
            self._note(error)

    def _decode(self, batch: Fetched) -> list[Envelope]:
        envelopes = []
        for tp, rows in batch.items():
            topic, partition = tp
            decode = self._decoders[topic]
            for row in rows:
                body: Any
                try:
                    body = decode(row.value)
                except ContractViolation as violation:
                    body = violation
                envelopes.append(Envelope(topic, partition, row.offset, row.key, row.value, body))
        return envelopes

    async def _write_once(self, envelopes: Sequence[Envelope], places: Mapping[TP, Place]) -> Books:
        conn = await self._connected()
        progress = Progress(self.settings.group, watermarks(places.items()))
        books = await store.apply_batch(conn, envelopes, progress)
        self.health.database_fault = None
        return books

    async def _put_aside(self, envelopes: list[Envelope], error: Exception, owner: Owner) -> None:
        """Turn every record that the database refuses alone into a violation, by halving the batch.

        Each trial runs the real write and takes it back. Where no record is refused alone, the fault is
        none of the data's and the worker stops.
        """
        conn = await self._connected()
        async with conn.transaction(force_rollback=True):
            found = await self._search(conn, envelopes, 0, len(envelopes), owner)
        if not found:
            raise WriterFault(f"the batch is refused, and none of its records alone: {plain(error)}")

    async def _search(self, conn: Connection, envelopes: list[Envelope], low: int, high: int, owner: Owner) -> int:
        """How many records of a part that is refused were put aside. All are found at once: one after the other, each
        would cost the whole batch again, and a flood of them would stop the stream."""
        if high - low == 1:
            refusal = await self._refusal(conn, envelopes[low:high], owner)
            if refusal is None:
                return 0
            violation = ContractViolation("store_refused", f"refused by the database: {plain(refusal)}")
            envelopes[low] = envelopes[low]._replace(body=violation)
            log.warning("put aside: %s/%s offset %s", *envelopes[low][:3])
            return 1
        middle, found = (low + high) // 2, 0
        left = await self._refusal(conn, envelopes[low:middle], owner)
        if left is not None:
            found = await self._search(conn, envelopes, low, middle, owner)
        # Where the left half is taken, what is refused lies in the right one.
        if left is None or await self._refusal(conn, envelopes[middle:high], owner):
            found += await self._search(conn, envelopes, middle, high, owner)
        return found

    async def _refusal(self, conn: Connection, part: Sequence[Envelope], owner: Owner) -> psycopg.Error | None:
        """Why the database refuses a part of a batch, None where it takes it."""
        self.health.turned()
        self.health.advanced()
        if not owner.keep_trying:
            raise BatchAbandoned
        try:
            async with conn.transaction(force_rollback=True):
                await store.apply_batch(conn, part, Progress(self.settings.group))
        except psycopg.Error as error:
            if classify(error) is not Fault.DATA:
                raise
            return error
        return None

    async def _wait(self, error: Exception, owner: Owner, pause: float) -> float:
        """Note a passing fault and wait; the next pause. ``BatchAbandoned`` where the partitions go."""
        self._note(error)
        until = time.monotonic() + pause * random.uniform(0.5, 1.0)
        while True:
            self.health.turned()
            # A database that is away is no reason to be restarted.
            self.health.advanced()
            if not owner.keep_trying:
                raise BatchAbandoned
            if time.monotonic() >= until:
                return min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(0.05)

    def _note(self, error: Exception) -> None:
        if self.health.database_fault is None:
            log.warning("the database is not there: %s", plain(error))
        self.health.database_fault = type(error).__name__

    async def _connected(self) -> Connection:
        if self._connection is not None and (self._connection.closed or self._connection.broken):
            await self._disconnect()
        if self._connection is None:
            info = self.settings.postgres.conninfo("txplan-consumer")
            conn = await psycopg.AsyncConnection.connect(info)
            await store.prepare(conn)
            self._connection = conn
        return self._connection

    async def _disconnect(self) -> None:
        conn, self._connection = self._connection, None
        if conn is not None:
            await conn.close()

    def _count(self, books: Books) -> None:
        for (topic, partition), counts in books.items():
            for outcome in OUTCOMES:
                self._records.labels(topic, str(partition), outcome).inc(getattr(counts, outcome))
