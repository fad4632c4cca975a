"""kill -9 of the consumer in every phase of a batch, and members that come, go, and sleep."""

from __future__ import annotations

import signal
import time

import pytest

from tests.faults.road import Road
from tests.streamapp_live.worker import until

full = pytest.mark.full


@pytest.mark.parametrize(("phase", "proxy", "kind"), [
    pytest.param("as the poll's records reach it", "to_broker", "fetched", marks=full),
    pytest.param("decoded, nothing staged", "to_postgres", "copy", marks=full),
    pytest.param("inside the transaction, staged", "to_postgres", "staged", marks=full),
    ("inside the transaction, merged", "to_postgres", "commit"),
    pytest.param("the database committed, and it does not know", "to_postgres", "committed", marks=full),
    ("the database committed, Kafka not", "to_broker", "commit"),
    pytest.param("Kafka committed, and it does not know", "to_broker", "committed", marks=full),
])  # fmt: skip
def test_kill_in_every_phase_of_a_batch(road: Road, phase: str, proxy: str, kind: str) -> None:
    member = road.members[0]
    with road.fault(f"consumer killed: {phase}"):
        with getattr(road, proxy).trap(kind) as trap:
            assert trap.sprung.wait(30)
            member.kill()
        road.again(member, ready=False)


@full
def test_three_members_share_and_one_is_killed(road: Road) -> None:
    with road.fault("two consumers join and share"):
        road.join()
        road.join()
        until(lambda: sum(m.json("/readyz")["partitions"] for m in road.members) == 4)
    first, *others = road.members
    with road.fault("one of three consumers killed, and started again"):
        first.kill()
        road.again(first)
    for member in others:
        road.leave(member)


@full
def test_a_member_asleep_past_its_session(road: Road) -> None:
    """It wakes up inside a transaction whose records are somebody else's by then."""
    sleeper = road.members[0]
    other = road.join()
    until(lambda: other.json("/readyz")["partitions"] == 2)
    with road.fault("one of two consumers asleep past its session"):
        with road.to_postgres.trap("commit") as trap:
            assert trap.sprung.wait(30)
            for member in road.members:
                member.process.send_signal(signal.SIGSTOP)
        other.process.send_signal(signal.SIGCONT)
        until(lambda: other.json("/readyz")["partitions"] == 4, 90)
        sleeper.process.send_signal(signal.SIGCONT)
    road.leave(sleeper)


@full
def test_the_consumer_stopped_for_a_minute(road: Road) -> None:
    member = road.members[0]
    with road.fault("consumer stopped for a minute"):
        member.terminate()
        time.sleep(60)
        road.again(member, ready=False)
