"""The contract: hubs."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest
from confluent_kafka import KafkaError, TopicPartition

from engine.model.diagnostic import Refused
from engine.providers.kafka import positions, topics
from tests.brokers.differences import Contract
from tests.brokers.server import DAY_MS, Server, read


def test_create_and_change(server: Server, contract: Contract) -> None:
    name = server.topic(partitions=3)
    made = topics.describe(server.session, name)
    topics.ensure(server.session, name, 3, 3 * DAY_MS)
    topics.ensure(server.session, name, 3, DAY_MS)
    changed = topics.describe(server.session, name)
    with pytest.raises(Refused) as refused:
        topics.ensure(server.session, name, 4, DAY_MS)
    assert [d.code for d in refused.value.diagnostics] == ["partitions-fixed"]
    contract.holds("create", {"made": made, "changed": changed}, {
        "made": topics.Topic(name, 3, 3 * DAY_MS, append_stamps=True),
        "changed": topics.Topic(name, 3, DAY_MS, append_stamps=True)})


def test_delete_and_create_again(server: Server, contract: Contract) -> None:
    name = server.topic()
    server.produce(name, [(b"k", b"v")], partition=0)
    topics.delete(server.session, name)
    topics.delete(server.session, name)
    gone = topics.describe(server.session, name) is None and name not in topics.names(server.session)
    topics.ensure(server.session, name, 1, DAY_MS)
    contract.holds("delete", {"gone": gone, "starts_again_at": positions.latest(server.session, name)},
                   {"gone": True, "starts_again_at": {(name, 0): 0}})


def test_a_topic_that_is_mentioned_is_not_made(server: Server, contract: Contract) -> None:
    name = f"mentioned.{uuid4().hex[:8]}"
    asked = server.consumer(f"g.{name}", **{"allow.auto.create.topics": True})
    asked.list_topics(name, timeout=10)
    asked.close()
    time.sleep(0.2)
    contract.holds("mention", {"made": name in topics.names(server.session)}, {"made": False})


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_key_order(server: Server, contract: Contract, compression: str) -> None:
    name = server.topic()
    server.produce(name, [(b"k%d" % (i % 7), b"%06d" % i) for i in range(700)],
                   settings={"compression.type": compression, "enable.idempotence": True})
    reader = server.consumer(f"g.{name}")
    reader.assign([TopicPartition(name, 0, 0), TopicPartition(name, 1, 0)])
    found = read(reader, 700)
    reader.close()
    by_key: dict[bytes | None, list[tuple[int | None, bytes]]] = {}
    for message in found:
        by_key.setdefault(message.key(), []).append((message.partition(), message.value() or b""))
    contract.holds("key-order", {
        "read": len(found), "keys": len(by_key),
        "one_partition_a_key": all(len({p for p, _ in values}) == 1 for values in by_key.values()),
        "in_order": all(values == sorted(values) for values in by_key.values()),
    }, {"read": 700, "keys": 7, "one_partition_a_key": True, "in_order": True})


def test_append_stamps(server: Server, contract: Contract) -> None:
    """As on Event Hubs: whatever the producer says of the time, the broker's own is what counts."""
    name, before = server.topic(1), int(time.time() * 1000)
    [(_, told)] = server.produce(name, [(b"k", b"v")], timestamp=before - 400 * DAY_MS)
    reader = server.consumer(f"g.{name}")
    reader.assign([TopicPartition(name, 0, 0)])
    [message] = read(reader, 1)
    reader.close()
    contract.holds("append-stamp", {"read": before <= message.timestamp()[1] <= time.time() * 1000,
                                    "told": before <= told.timestamp()[1] <= time.time() * 1000},
                   {"read": True, "told": True})


def test_record_of_a_megabyte(server: Server, contract: Contract) -> None:
    name = server.topic(1)
    value = b"x" * 1_000_000
    [(small, _)] = server.produce(name, [(b"k", value)], settings={"message.max.bytes": 3_000_000})
    [(big, _)] = server.produce(name, [(b"k", value + value)], settings={"message.max.bytes": 3_000_000})
    reader = server.consumer(f"g.{name}")
    reader.assign([TopicPartition(name, 0, 0)])
    [message] = read(reader, 1)
    reader.close()
    contract.holds("megabyte", {"accepted": small is None, "same": message.value() == value, "two": big},
                   {"accepted": True, "same": True, "two": KafkaError.MSG_SIZE_TOO_LARGE})
