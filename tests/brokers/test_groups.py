"""The contract: consumer groups, their offsets and their members."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, TopicPartition

from engine.model.diagnostic import Refused
from engine.providers.kafka import positions
from tests.brokers.differences import Contract
from tests.brokers.server import Server, read

_JOIN_S = 30.0
# Well under half of the session in the test of rebalancing, in which some brokers only act at a session's end.
_PROMPT_S = 5.0


@pytest.fixture
def group() -> str:
    return f"bo-sync-{uuid4().hex[:8]}-v1"


@contextmanager
def member(server: Server, group: str, topic: str, **settings: object) -> Iterator[Consumer]:
    consumer = server.consumer(group, **settings)
    consumer.subscribe([topic])
    try:
        yield consumer
    finally:
        consumer.close()


def shares(members: list[Consumer], wanted: list[int], seconds: float = _JOIN_S) -> bool:
    """Poll the members until each holds the wanted number of partitions."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for consumer in members:
            consumer.poll(0.05)
        if sorted(len(consumer.assignment()) for consumer in members) == sorted(wanted):
            return True
    return False


def test_commit_and_fetch(server: Server, contract: Contract, group: str) -> None:
    name = server.topic()
    server.produce(name, [(None, b"a")] * 5, partition=0)
    none = positions.committed(server.session, group, [name])
    positions.commit(server.session, group, {(name, 0): 5})
    one = positions.committed(server.session, group, [name])
    positions.commit(server.session, group, {(name, 0): 4, (name, 1): 0})
    contract.holds("commit", {
        "none": none, "one": one, "both": positions.committed(server.session, group, [name]),
        "other_topic": positions.committed(server.session, group, ["nowhere"]),
    }, {"none": {}, "one": {(name, 0): 5}, "both": {(name, 0): 4, (name, 1): 0}, "other_topic": {}})


def test_start_offsets_are_where_a_member_begins(server: Server, contract: Contract, group: str) -> None:
    name = server.topic()
    for partition in (0, 1):
        server.produce(name, [(None, b"%d" % i) for i in range(4)], partition=partition)
    positions.commit(server.session, group, {(name, 0): 3, (name, 1): 1})
    with member(server, group, name, **{"auto.offset.reset": "error"}) as consumer:
        found = {(m.partition(), m.offset()) for m in read(consumer, 4)}
    contract.holds("start-offsets", {"read": found}, {"read": {(0, 3), (1, 1), (1, 2), (1, 3)}})


def test_commit_against_a_member(server: Server, contract: Contract, group: str) -> None:
    """Start offsets are for groups without members; under a member's feet they would be lost or skip records."""
    name = server.topic()
    with member(server, group, name) as consumer:
        assert shares([consumer], [2])
        try:
            positions.commit(server.session, group, {(name, 0): 0})
            refused = False
        except Refused:
            refused = True
    contract.holds("commit-against-member", {"refused": refused}, {"refused": True})


def test_list_and_delete(server: Server, contract: Contract) -> None:
    name, prefix = server.topic(), f"bo-sync-{uuid4().hex[:8]}-"
    for group in (f"{prefix}v2", f"{prefix}v1", f"other-{prefix}v1"):
        positions.commit(server.session, group, {(name, 0): 0})
    listed = positions.groups(server.session, prefix)
    positions.delete_group(server.session, f"{prefix}v1")
    positions.delete_group(server.session, f"{prefix}v1")
    positions.delete_group(server.session, f"{prefix}v9")
    contract.holds("groups", {
        "listed": listed, "left": positions.groups(server.session, prefix),
        "forgotten": positions.committed(server.session, f"{prefix}v1", [name]),
    }, {"listed": [f"{prefix}v1", f"{prefix}v2"], "left": [f"{prefix}v2"], "forgotten": {}})


def test_a_group_is_described(server: Server, contract: Contract, group: str) -> None:
    name = server.topic()
    nobody = positions.describe_group(server.session, group).members
    with member(server, group, name) as consumer:
        assert shares([consumer], [2])
        joined = positions.describe_group(server.session, group)
    positions.commit(server.session, group, {(name, 0): 0})
    gone = positions.describe_group(server.session, group)
    contract.holds("describe", {"nobody": nobody, "joined": (joined.state, joined.members), "gone": gone.members},
                   {"nobody": 0, "joined": ("stable", 1), "gone": 0})


def test_delete_with_a_member(server: Server, contract: Contract, group: str) -> None:
    name = server.topic()
    with member(server, group, name) as consumer:
        assert shares([consumer], [2])
        try:
            positions.delete_group(server.session, group)
            refused = False
        except Refused:
            refused = True
    contract.holds("delete-with-member", {"refused": refused}, {"refused": True})


def test_rebalance_and_drain(server: Server, contract: Contract, group: str) -> None:
    """A second member takes half; when one leaves, the other has all long before a session would end. What the
    leaver committed is where the other goes on."""
    name = server.topic()
    for partition in (0, 1):
        server.produce(name, [(None, b"%d" % i) for i in range(5)], partition=partition)
    slow = {"session.timeout.ms": 14_000}
    with member(server, group, name, **slow) as stays:
        at_once = shares([stays], [2], _PROMPT_S)
        alone = at_once or shares([stays], [2])
        leaves = server.consumer(group, **slow)
        leaves.subscribe([name])
        shared = shares([stays, leaves], [1, 1], 60)
        taken = leaves.assignment()
        if shared:
            [own] = taken
            leaves.commit(offsets=[TopicPartition(name, own.partition, 2)], asynchronous=False)
        leaves.close()
        drained = shares([stays], [2], _PROMPT_S)
        at = {p: o for (_, p), o in positions.committed(server.session, group, [name]).items()}
    contract.holds("rebalance", {
        "join_at_once": at_once, "alone": alone, "shared": shared, "drained_at_once": drained,
        "committed": list(at.values()),
    }, {"join_at_once": True, "alone": True, "shared": True, "drained_at_once": True, "committed": [2]})
