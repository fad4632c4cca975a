"""The engines under the local target: recorded, supervised, side by side, and gone without a trace."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from engine.model.diagnostic import Refused
from engine.providers.base import Broker
from engine.providers.local import strays
from engine.providers.local.broker import PROGRAM
from engine.providers.local.brokers import ENGINES
from engine.providers.local.brokers.engine import BrokerEngine
from tests.brokers.server import Server
from tests.local.environment import TAGS, Local, destroyed, open_local, wait_for

NAMESPACE, HUB = "team-tx-evh-kim-dev", "ledger.entry.upserted"
HUB_SPEC = {"name": HUB, "partitions": 2, "retention_hours": 72.0, "namespace": NAMESPACE}


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    yield from destroyed(open_local(tmp_path / "state"))


def make(local: Local, engine: str, **hub: Any) -> Broker:
    """The environment's broker with its hub, serving."""
    local.make_group()
    local.apply("namespace", name=NAMESPACE, tags=TAGS, engine=engine)
    wait_for(lambda: local.target.resources["namespace"].ready(NAMESPACE) is None)
    local.apply("hub", **{**HUB_SPEC, **hub})
    assert local.target.resources["hub"].ready(HUB) is None
    assert local.target.broker is not None
    return local.target.broker


def write(broker: Broker, count: int) -> None:
    producer = Producer({"bootstrap.servers": broker.client_environment()["KAFKA_BOOTSTRAP"], "log_level": 0})
    for number in range(count):
        producer.produce(HUB, value=b"%d" % number, partition=number % 2)
    assert producer.flush(20) == 0


# `server` is asked for so that an engine which cannot run here is skipped with its reason.
@pytest.mark.usefixtures("server")
def test_life_of_a_namespace(local: Local, engine: BrokerEngine) -> None:
    broker = local.target.broker
    assert broker is not None
    local.make_group()
    assert not broker.reachable() and broker.client_environment() == {}
    assert local.observe("namespace", NAMESPACE) is None and local.observe("hub", HUB) is None
    make(local, engine.name)
    assert local.observe("namespace", NAMESPACE) == {"name": NAMESPACE, "tags": TAGS, "engine": engine.name}
    assert local.observe("hub", HUB) == HUB_SPEC
    make(local, engine.name, retention_hours=24.0)
    assert local.observe("hub", HUB) == {**HUB_SPEC, "retention_hours": 24.0}
    [process] = strays.find(local.home.instance, TXPLAN_PROGRAM=PROGRAM)
    listening = {c.laddr.ip.removeprefix("::ffff:") for c in process.net_connections() if c.status == "LISTEN"}
    assert listening == {"127.0.0.1"}
    broker.now()
    assert local.target.resources["hub"].inventory() == [HUB]
    local.target.resources["hub"].delete(HUB, local.context)
    assert local.observe("hub", HUB) is None
    local.target.resources["namespace"].delete(NAMESPACE, local.context)
    assert local.observe("namespace", NAMESPACE) is None and not broker.reachable()
    assert local.processes.status(PROGRAM) is None


def test_two_environments_of_one_name_never_meet(tmp_path: Path) -> None:
    for left in destroyed(open_local(tmp_path / "left")):
        for right in destroyed(open_local(tmp_path / "right")):
            brokers = [make(local, "noida") for local in (left, right)]
            write(brokers[0], 6)
            brokers[1].commit("bo-sync-dev-kim-v1", {(HUB, 0): 0})
            assert [sum(b.latest_offsets(HUB).values()) for b in brokers] == [6, 0]
            assert [b.groups("bo-sync-") for b in brokers] == [[], ["bo-sync-dev-kim-v1"]]
            left.destroy()
            assert not brokers[0].reachable() and brokers[1].reachable()


_MEMBER = """
import sys
from confluent_kafka import Consumer
member = Consumer({"bootstrap.servers": sys.argv[1], "group.id": sys.argv[2], "session.timeout.ms": 6000})
member.subscribe([sys.argv[3]], on_assign=lambda *_: print("joined", flush=True))
while True:
    member.poll(0.1)
"""


def let_a_member_die(broker: Broker, group: str) -> None:
    """A member joins the group and is killed; the broker learns of that when its session ends."""
    bootstrap = broker.client_environment()["KAFKA_BOOTSTRAP"]
    member = subprocess.Popen([sys.executable, "-c", _MEMBER, bootstrap, group, HUB], stdout=subprocess.PIPE, text=True)
    try:
        assert member.stdout is not None and member.stdout.readline() == "joined\n"
    finally:
        member.kill()
        member.communicate()


def test_groups_of_an_own_broker_go_with_it(local: Local) -> None:
    broker = make(local, "noida")
    let_a_member_die(broker, "bo-sync-dev-kim-v1")
    broker.delete_group("bo-sync-dev-kim-v1")
    assert broker.groups("bo-sync-") == ["bo-sync-dev-kim-v1"]


def test_a_group_on_an_external_broker_is_deleted_when_its_dead_members_are_out(local: Local) -> None:
    with Server.running_or_skip(ENGINES["apache"]) as server:
        local.make_group()
        local.apply("namespace", name=NAMESPACE, tags=TAGS, engine="external", bootstrap=server.bootstrap)
        local.apply("hub", **HUB_SPEC)
        broker = local.target.broker
        assert broker is not None
        let_a_member_die(broker, "bo-sync-dev-kim-v1")
        broker.delete_group("bo-sync-dev-kim-v1")
        assert broker.groups("bo-sync-") == []


def test_a_killed_broker_comes_back(local: Local) -> None:
    broker = make(local, "noida")
    snapshot = local.home.path / "broker" / "data" / "kafka.json"
    wait_for(snapshot.exists)
    written = snapshot.stat().st_mtime_ns
    write(broker, 6)
    wait_for(lambda: snapshot.stat().st_mtime_ns != written)
    [process] = strays.find(local.home.instance, TXPLAN_PROGRAM=PROGRAM)
    process.kill()
    process.wait()
    wait_for(broker.reachable)
    assert broker.latest_offsets(HUB) == {(HUB, 0): 3, (HUB, 1): 3}


def test_a_stopped_broker_is_seen_and_started(local: Local) -> None:
    broker = make(local, "noida")
    write(broker, 4)
    local.processes.stop(PROGRAM)
    assert local.observe("namespace", NAMESPACE)["needs"] == ["start"]
    assert local.observe("hub", HUB) == {**HUB_SPEC, "needs": ["broker"]}
    assert local.target.resources["hub"].inventory() == [HUB]
    with pytest.raises(Refused) as refused:
        broker.latest_offsets(HUB)
    assert [d.code for d in refused.value.diagnostics] == ["broker-away"]
    make(local, "noida")
    assert local.observe("hub", HUB) == HUB_SPEC
    assert sum(broker.latest_offsets(HUB).values()) == 4


def test_a_port_that_a_stranger_took_is_given_up(local: Local) -> None:
    broker = make(local, "noida")
    write(broker, 4)
    local.processes.stop(PROGRAM)
    before = broker.client_environment()["KAFKA_BOOTSTRAP"]
    with socket.create_server(("127.0.0.1", int(before.rpartition(":")[2]))):
        make(local, "noida")
        assert broker.client_environment()["KAFKA_BOOTSTRAP"] != before
        assert sum(broker.latest_offsets(HUB).values()) == 4


def test_a_hub_that_no_step_declares_is_found(local: Local) -> None:
    make(local, "noida")
    local.apply("hub", **{**HUB_SPEC, "name": "left.over"})
    local.home.drop_record("hub", "left.over")
    assert local.target.resources["hub"].inventory() == [HUB, "left.over"]
