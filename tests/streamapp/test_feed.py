"""The feed on a real broker: everything arrives once, under its key, by time, at its pace, moved where asked."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from streamapp.contract import LedgerEntry, PaymentOrder, decode_ledger, decode_order
from tests.streamapp_live.broker import Broker
from tests.support import jobs

SAMPLE = Path(__file__).resolve().parents[2] / "manifests" / "sample" / "stream"
DECEMBER = {
    "kind": "files",
    "orders": str(SAMPLE / "orders-*.parquet"),
    "ledger": str(SAMPLE / "ledger-*.parquet"),
}


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker.started() as running:
        yield running


class Hubs:
    """Two new topics, the feed's variables, and what arrived."""

    def __init__(self, broker: Broker, name: str) -> None:
        self.broker = broker
        self.ledger, self.order = broker.topics(name)
        self.env = {"KAFKA_BOOTSTRAP": broker.bootstrap, "HUB_LEDGER": self.ledger, "HUB_ORDER": self.order}

    def feed(self, spec: dict[str, Any]) -> dict[str, Any]:
        finished = jobs.run("feed", self.env, "FEED_SPEC", spec)
        assert finished.code == 0, (finished.lines, finished.log)
        return finished.last

    def arrived(self, topic: str) -> list[tuple[bytes | None, bytes]]:
        consumer = Consumer(
            {"bootstrap.servers": self.broker.bootstrap, "group.id": "look", "enable.auto.commit": False}
        )
        parts = [TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(2)]
        wanted = sum(consumer.get_watermark_offsets(part, timeout=10)[1] for part in parts)
        consumer.assign(parts)
        found: list[tuple[bytes | None, bytes]] = []
        while len(found) < wanted:
            for message in consumer.consume(min(wanted - len(found), 10_000), timeout=5):
                assert message.error() is None
                found.append((message.key(), message.value() or b""))
        consumer.close()
        return found

    def entries(self) -> list[LedgerEntry]:
        return [decode_ledger(raw) for _, raw in self.arrived(self.ledger)]

    def orders(self) -> list[PaymentOrder]:
        return [decode_order(raw) for _, raw in self.arrived(self.order)]


def test_the_sample_arrives_whole_under_its_keys(broker: Broker) -> None:
    hubs = Hubs(broker, "whole")
    result = hubs.feed(DECEMBER)
    ledger = pq.read_table(SAMPLE / "ledger-2017-12.parquet")
    assert (result["ledger"], result["orders"]) == (ledger.num_rows, ledger.num_rows // 2)
    assert result["delivered"] == result["ledger"] + result["orders"]
    found = hubs.arrived(hubs.ledger)
    assert sorted(key or b"" for key, _ in found) == sorted(str(key).encode() for key in ledger["tx_id"].to_pylist())
    expected = {row["tx_id"]: row for row in ledger.to_pylist()}
    for key, raw in found:
        entry = decode_ledger(raw)
        assert entry._asdict() == expected[entry.tx_id]
        assert key == entry.tx_id.encode()


def test_orders_and_entries_are_interleaved_by_time(broker: Broker) -> None:
    hubs = Hubs(broker, "order")
    hubs.feed(DECEMBER | {"limit": 300})
    orders, entries = hubs.orders(), hubs.entries()
    assert (len(orders), len(entries)) == (100, 200)
    assert max(o.created_at for o in orders) <= max(e.event_time for e in entries)


def test_moved_times_end_now_and_keep_their_spacing(broker: Broker) -> None:
    plain, moved = Hubs(broker, "plain"), Hubs(broker, "moved")
    plain.feed(DECEMBER | {"limit": 300})
    before = datetime.now(UTC)
    moved.feed(DECEMBER | {"limit": 300, "shift_to_now": True})
    old = {entry.tx_id: entry for entry in plain.entries()}
    spans = {entry.event_time - old[entry.tx_id].event_time for entry in moved.entries()}
    assert len(spans) == 1
    last = max(entry.event_time for entry in moved.entries())
    assert before - timedelta(seconds=60) < last <= datetime.now(UTC)
    entry = moved.entries()[0]
    assert entry.created_at == entry.updated_at == entry.event_time


def test_broken_and_repeated_events_are_published_as_they_are(broker: Broker) -> None:
    hubs = Hubs(broker, "faults")
    result = hubs.feed({"kind": "synthetic", "rows": 3000, "seed": 3, "broken": 0.02, "duplicates": 0.05})
    assert result["broken"] > 0
    found = hubs.arrived(hubs.ledger)
    assert sum(key is None for key, _ in found) == result["broken"]
    keys = [key for key, _ in found if key is not None]
    assert len(keys) > len(set(keys))


def test_a_rate_is_kept_and_sigterm_ends_it(broker: Broker) -> None:
    hubs = Hubs(broker, "rate")
    spec = {"kind": "synthetic", "rows": 1_000_000, "rate": 200}
    process = jobs.start("feed", hubs.env, "FEED_SPEC", spec)
    assert process.stdout is not None
    for _ in range(3):
        process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert jobs.finish(process).code == 143
    assert 0 < len(hubs.arrived(hubs.ledger)) < 10_000


def test_what_cannot_be_fed_is_told_by_code(broker: Broker) -> None:
    hubs = Hubs(broker, "errors")
    for change, code in (
        ({"before": "2017-12-01T00:00:00Z"}, "bad-spec"),
        ({"rate": 0}, "bad-spec"),
        ({"orders": "/nowhere/*.parquet"}, "source-empty"),
    ):
        finished = jobs.run("feed", hubs.env, "FEED_SPEC", DECEMBER | change)
        assert (finished.code, finished.last["code"]) == (1, code)
