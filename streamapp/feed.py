"""The feed job: publishes a source's rows to the two hubs, as a payment system would.

Owns pace, order and the move of event times. Must not invent or repair events: a broken row is published as it
is. Orders and ledger rows are interleaved by event time; within each the source's own order stays, faults included.

`shift_to_now` moves all times by one span, such that the latest of the events published is now: spacing and
duplicates stay what they are, and no event lies in the future. It costs one more reading of the source.
"""

from __future__ import annotations

import heapq
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from types import FrameType
from typing import Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streamapp import report
from streamapp.backfill.chunks import DECODERS, Part, SourceReader, event_time, raw_rows
from streamapp.backfill.run import SIGTERM_EXIT, open_source
from streamapp.backfill.spec import Spec, read
from streamapp.contract import ContractViolation, PaymentOrder, Record, encode, key_of
from streamapp.entities import LEDGER, ORDERS, Entity
from streamapp.report import JobError
from streamapp.settings import Kafka, kafka_settings

_START: Final = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Event:
    """One message to be. A broken one has no record and takes the time of the event before it."""

    at: datetime
    entity: Entity
    record: Record | None
    raw: bytes


def main(_: list[str]) -> int:
    spec = read(os.environ, "FEED_SPEC")
    if spec.before is not None:
        raise JobError("bad-spec", "`before` belongs to a backfill", "A feed publishes the whole source.")
    kafka = kafka_settings(os.environ)
    # Small blocks: the first event goes out at once.
    source = open_source(msgspec.structs.replace(spec, chunk_rows=min(spec.chunk_rows, 1_000)))
    shift = timedelta(0)
    if spec.shift_to_now:
        last = max((event.at for event in events(source, spec.limit)), default=_START)
        shift = datetime.now(UTC) - last
    feed = _Feed(kafka, shift)
    signal.signal(signal.SIGTERM, feed.stop)
    return feed.run(events(source, spec.limit), spec)


def events(source: SourceReader, limit: int | None) -> Iterator[Event]:
    """The source's events by time, at most `limit`."""
    parts = source.parts()
    streams = [_of(source, [p for p in parts if p.entity is entity]) for entity in (ORDERS, LEDGER)]
    return islice(heapq.merge(*streams, key=lambda event: event.at), limit)


def _of(source: SourceReader, parts: list[Part]) -> Iterator[Event]:
    at = _START
    for part in parts:
        decode = DECODERS[part.entity.table]
        for block in source.blocks(part, "", 0):
            for raw in raw_rows(block):
                try:
                    record = decode(raw)
                except ContractViolation:
                    yield Event(at, part.entity, None, raw)
                    continue
                at = event_time(record)
                yield Event(at, part.entity, record, raw)


def moved(event: Event, by: timedelta) -> Event:
    """The event with all its times moved; a broken one stays as it is."""
    record = event.record
    if record is None or not by:
        return event
    updated = None if record.updated_at is None else record.updated_at + by
    if isinstance(record, PaymentOrder):
        shifted: Record = record._replace(created_at=record.created_at + by, updated_at=updated)
    else:
        created = None if record.created_at is None else record.created_at + by
        shifted = record._replace(event_time=record.event_time + by, created_at=created, updated_at=updated)
    return replace(event, at=event.at + by, record=shifted, raw=encode(shifted))


class _Feed:
    """One run: its producer and what has been delivered."""

    def __init__(self, kafka: Kafka, shift: timedelta) -> None:
        self._topics = {ORDERS.table: kafka.hub_order, LEDGER.table: kafka.hub_ledger}
        self._shift = shift
        self._stopped = False
        self._delivered = 0
        self._problem: KafkaError | None = None
        # Idempotence: a retry inside the client neither doubles nor reorders, and waits for all replicas.
        self._producer = Producer(
            {**kafka.librdkafka(), "enable.idempotence": True, "linger.ms": 20,
             "message.timeout.ms": 60_000, "error_cb": self._failed}
        )  # fmt: skip

    def stop(self, _: int, __: FrameType | None) -> None:
        self._stopped = True

    def run(self, source: Iterator[Event], spec: Spec) -> int:
        """Publishes all, waits until all is delivered, and reports."""
        counts = {"orders": 0, "ledger": 0, "broken": 0}
        started = told = time.monotonic()
        sent = 0
        for event in source:
            if self._stopped or self._problem is not None:
                break
            self._pace(started, sent, spec.rate)
            self._publish(moved(event, self._shift))
            sent += 1
            name = "broken" if event.record is None else "orders" if event.entity is ORDERS else "ledger"
            counts[name] += 1
            if time.monotonic() - told > 0.5:
                told = time.monotonic()
                report.progress(self._delivered, spec.limit, unit="events")
        self._flush(sent)
        seconds = time.monotonic() - started
        if self._stopped:
            return SIGTERM_EXIT
        report.result(
            {**counts, "delivered": self._delivered, "seconds": round(seconds, 3),
             "shift_s": round(self._shift.total_seconds(), 3)}
        )  # fmt: skip
        return 0

    def _pace(self, started: float, sent: int, rate: float | None) -> None:
        if rate is None:
            return
        while not self._stopped and (ahead := sent / rate - (time.monotonic() - started)) > 0:
            self._producer.poll(min(ahead, 0.2))

    def _publish(self, event: Event) -> None:
        key = None if event.record is None else key_of(event.record).encode()
        while self._problem is None:
            try:
                self._producer.produce(self._topics[event.entity.table], event.raw, key, on_delivery=self._done)
                break
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as problem:
                raise JobError("feed-delivery", "an event cannot be sent", str(problem)) from None
        self._producer.poll(0)

    def _flush(self, sent: int) -> None:
        left = self._producer.flush(70)
        if self._problem is not None or left or self._delivered != sent:
            why = str(self._problem) if self._problem is not None else f"{left} wait"
            raise JobError("feed-delivery", f"{sent - self._delivered} of {sent} not delivered", why)

    def _done(self, problem: KafkaError | None, _: Message) -> None:
        if problem is None:
            self._delivered += 1
        else:
            self._problem = problem

    def _failed(self, problem: KafkaError) -> None:
        # Lost connections are retried by the client until message.timeout.ms; only a fatal error ends the run.
        if problem.fatal():
            self._problem = problem
