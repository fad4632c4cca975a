"""The database, the broker and the API go away and come back, in the ways in which they do."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.road import Road
from tests.streamapp_live.broker import Broker
from tests.streamapp_live.stage import TOKEN
from tests.streamapp_live.worker import until
from tests.support.postgres import PostgresServer

full = pytest.mark.full
DISK = 400 << 20


def everything(server: PostgresServer, number: int) -> None:
    """Signal the postmaster and all its children at once."""
    family = [*psutil.Process(server.process.pid).children(recursive=True), psutil.Process(server.process.pid)]
    for process in family:
        process.send_signal(number)


def kill_all(server: PostgresServer) -> None:
    """kill -9 of every process of the server, as when its machine loses power."""
    everything(server, signal.SIGKILL)
    server.process.wait(30)


def test_postgres_killed(road: Road) -> None:
    with road.fault("PostgreSQL killed, kill -9 of all its processes"):
        with road.to_postgres.trap("commit") as trap:
            assert trap.sprung.wait(30)
            kill_all(road.server)
        member, door = road.members[0], road.door
        assert door is not None
        until(lambda: (member.get("/readyz")[0], door.get("/readyz")[0]) == (503, 503))
        assert (member.get("/healthz")[0], door.get("/healthz")[0]) == (200, 200)
        assert door.get("/admin/tx/tx-1-p", Authorization=f"Bearer {TOKEN}")[0] == 503
        assert door.samples("bo_data_lag_seconds") == {}
        road.server.start()
    until(lambda: road.one("SELECT count(*) FROM bo.admin_audit_logs WHERE status = 503") == 1)


@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=full)])
def test_postgres_frozen(road: Road, seconds: int) -> None:
    with road.fault(f"PostgreSQL frozen for {seconds} s (SIGSTOP)"):
        everything(road.server, signal.SIGSTOP)
        time.sleep(seconds)
        everything(road.server, signal.SIGCONT)


@full
def test_postgres_stopped_for_a_minute(road: Road) -> None:
    with road.fault("PostgreSQL stopped for a minute"):
        road.server.stop()
        time.sleep(60)
        assert road.members[0].get("/healthz")[0] == 200
        road.server.start()


def test_broker_killed(road: Road) -> None:
    with road.fault("Apache Kafka killed, kill -9"):
        road.broker.server.kill()
        until(lambda: road.members[0].get("/readyz")[0] == 503)
        assert road.members[0].get("/healthz")[0] == 200
        road.broker.server.start()


@full
def test_broker_away_for_a_minute(road: Road) -> None:
    with road.fault("Apache Kafka stopped for a minute"):
        road.broker.server.stop()
        time.sleep(60)
        road.broker.server.start()


def test_api_killed(road: Road) -> None:
    door = road.door
    assert door is not None
    with road.fault("API killed, kill -9"):
        door.kill()
        road.door = road.api(ready=False, like=door)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which a test may fill."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "txplan-faults", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False)


@full
def test_full_disk(broker: Broker, small_disk: Path, tmp_path: Path) -> None:
    """The database's disk fills up under load; once there is room again, it and the stream go on."""
    with PostgresServer.started(small_disk) as server, Road.open(server, broker, tmp_path) as road:
        ballast = small_disk / "ballast"
        with road.fault("the database's disk full"):
            with ballast.open("wb") as file:
                free = os.statvfs(small_disk)
                file.write(bytes(free.f_bavail * free.f_frsize - (64 << 10)))
            until(lambda: road.members[0].get("/readyz")[0] == 503 or server.process.poll() is not None, 120)
            time.sleep(3)
            ballast.unlink()
            if server.process.poll() is not None:
                server.start()


def test_broker_that_loses_its_last_second(tmp_path: Path, server: PostgresServer) -> None:
    """noida forgets what it acknowledged a moment ago; the source says it again, at offsets that were used before."""
    with Broker.started("noida") as broker, Road.open(server, broker, tmp_path) as road:
        road.flowing()
        with road.fault("a broker loses its last second (noida, kill -9)"):
            broker.server.settle()
            since = time.monotonic() - 5
            time.sleep(0.5)
            broker.server.kill()
            road.feeder.acknowledged.clear()
            broker.server.start()
            road.feeder.again(since)
