"""The database, the broker and the API go away and come back, in the ways in which they do."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.road import Road, everything, kill_all
from tests.streamapp_live.broker import Broker
from tests.streamapp_live.stage import TOKEN
from tests.streamapp_live.worker import until
from tests.support.postgres import PostgresServer

full = pytest.mark.full
DISK = 400 << 20


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


@full
@pytest.mark.parametrize("seconds", [5, 60])
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


@full
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
def small_disk() -> Iterator[Path]:
    """A file system of its own, which a test may fill, and which the server's user may reach."""
    place = Path(tempfile.mkdtemp(prefix="txplan-disk-"))
    place.chmod(0o755)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "txplan-faults", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        place.rmdir()
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False)
        place.rmdir()


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


def test_broker_that_loses_its_last_second(server: PostgresServer, forgetful: Broker, tmp_path: Path) -> None:
    """noida forgets what it acknowledged a moment ago; the source says it again, at offsets that were used before."""
    with (
        Road.open(server, forgetful, tmp_path) as road,
        road.fault("a broker loses its last second (noida, kill -9)"),
    ):
        forgetful.server.settle()
        since = time.monotonic() - 5
        time.sleep(0.5)
        forgetful.server.kill()
        forgetful.server.start()
        # What was acknowledged before says nothing any more; all that is said again tells the offsets anew.
        road.feeder.acknowledged.clear()
        road.feeder.again(since)
