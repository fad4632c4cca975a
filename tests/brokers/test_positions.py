"""The contract: where a log begins and ends, and where an instant is in it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import KafkaException, TopicPartition

from engine.model.diagnostic import Refused
from engine.providers.kafka import positions
from tests.brokers.differences import Contract
from tests.brokers.server import Server


def test_ends(server: Server, contract: Contract) -> None:
    name = server.topic()
    empty = positions.latest(server.session, name)
    server.produce(name, [(None, b"a")] * 5, partition=0)
    server.produce(name, [(None, b"b")] * 3, partition=0)
    first, next_ = positions.earliest(server.session, name), positions.latest(server.session, name)
    contract.holds("ends", {
        "empty": (empty[name, 0], empty[name, 1]), "earliest": (first[name, 0], first[name, 1]),
        "latest": (next_[name, 0], next_[name, 1]),
    }, {"empty": (0, 0), "earliest": (0, 0), "latest": (8, 0)})


def test_log_start_moves(server: Server, contract: Contract) -> None:
    """What retention does in the long run: the log's start moves past records that are gone."""
    name = server.topic(1)
    server.produce(name, [(None, b"%d" % i) for i in range(6)], partition=0)
    try:
        [future] = server.session.admin.delete_records([TopicPartition(name, 0, 4)], request_timeout=5).values()
        future.result(10)
        deleted = True
    except KafkaException:
        deleted = False
    contract.holds("log-start", {"deleted": deleted, "earliest": positions.earliest(server.session, name)[name, 0]},
                   {"deleted": True, "earliest": 4})


def test_offset_for_time(server: Server, contract: Contract) -> None:
    name = server.topic()
    server.produce(name, [(None, b"a")] * 3, partition=0)
    time.sleep(0.05)
    between = datetime.now(UTC)
    time.sleep(0.05)
    server.produce(name, [(None, b"b")] * 2, partition=0)
    day = timedelta(days=1)
    answers = {word: positions.at_time(server.session, name, at)[name, 0] for word, at in {
        "before_all": between - day, "between": between, "after_all": between + day}.items()}
    empty = positions.at_time(server.session, name, between)[name, 1]
    contract.holds("offset-for-time", {**answers, "empty": empty},
                   {"before_all": 0, "between": 3, "after_all": 5, "empty": 0})


def test_stamps(server: Server, contract: Contract) -> None:
    name = server.topic()
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    server.produce(name, [(None, b"%d" % i) for i in range(4)], partition=0)
    found = positions.stamps(server.session, {(name, 0): 1, (name, 1): 0})
    contract.holds("stamps", {
        "which": {p for _, p in found}, "now": all(before <= at <= datetime.now(UTC) for at in found.values())},
        {"which": {0}, "now": True})


def test_clock(server: Server, contract: Contract) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    stamp = positions.append_stamp(server.session, server.topic(1))
    contract.holds("clock", {"stamped": stamp is not None and before <= stamp <= datetime.now(UTC)},
                   {"stamped": True})


def test_no_such_topic(server: Server) -> None:
    with pytest.raises(Refused) as refused:
        positions.latest(server.session, "nowhere")
    assert [d.code for d in refused.value.diagnostics] == ["no-topic"]
