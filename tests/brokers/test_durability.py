"""The contract: what a restart and a kill leave."""

from __future__ import annotations

from engine.providers.kafka import positions, topics
from tests.brokers.differences import Contract
from tests.brokers.server import DAY_MS, Server

_GROUP = "bo-sync-test-v1"


def _state(server: Server, name: str) -> dict[str, object]:
    topic = topics.describe(server.session, name)
    return {
        "partitions": topic and topic.partitions, "retention_ms": topic and topic.retention_ms,
        "append_stamps": topic and topic.append_stamps,
        "records": topic and positions.latest(server.session, name)[name, 0],
        "committed": positions.committed(server.session, _GROUP, [name]).get((name, 0))}


_KEPT = {"partitions": 2, "retention_ms": 3 * DAY_MS, "append_stamps": True, "committed": 4}


def test_restart(own_server: Server, contract: Contract) -> None:
    name = own_server.topic()
    own_server.produce(name, [(b"k", b"v")] * 6, partition=0)
    positions.commit(own_server.session, _GROUP, {(name, 0): 4})
    own_server.stop()
    own_server.start()
    contract.holds("restart", _state(own_server, name), {**_KEPT, "records": 6})


def test_kill(own_server: Server, contract: Contract) -> None:
    """What was acknowledged some time ago, and what was acknowledged a moment ago."""
    name = own_server.topic()
    own_server.produce(name, [(b"k", b"v")] * 6, partition=0)
    positions.commit(own_server.session, _GROUP, {(name, 0): 4})
    own_server.settle()
    own_server.produce(name, [(b"k", b"w")] * 3, partition=0)
    own_server.kill()
    own_server.start()
    contract.holds("kill", _state(own_server, name), {**_KEPT, "records": 9})
