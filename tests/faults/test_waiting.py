"""What a consumer does that waits for its database or its broker, and one that does nothing any more."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.streamapp_live.broker import Broker
from tests.streamapp_live.stage import Stage, entries
from tests.streamapp_live.worker import until
from tests.support.postgres import PostgresServer


@pytest.fixture
def alone(server: PostgresServer, forgetful: Broker, tmp_path: Path) -> Iterator[Stage]:
    """A stage without load."""
    stage = Stage(server, forgetful, tmp_path)
    yield stage
    stage.end()


def test_sigterm_ends_a_consumer_that_waits_for_the_database(alone: Stage) -> None:
    consumer = alone.consumer()
    alone.server.kill()
    alone.broker.produce(alone.ledger, entries(0, 100))
    until(lambda: consumer.get("/readyz")[0] == 503)
    assert consumer.terminate() == 0
    assert alone.committed() == {}
    alone.server.start()


def test_starts_before_its_broker(alone: Stage) -> None:
    alone.broker.server.stop()
    consumer = alone.consumer(ready=False)
    until(lambda: consumer.get("/healthz")[0] == 200)
    assert consumer.get("/readyz")[0] == 503
    alone.broker.server.start()
    until(lambda: consumer.get("/readyz")[0] == 200)


def test_the_watchdog_ends_a_process_that_stands_still() -> None:
    code = (
        "import time; from streamapp.consumer.health import Health, start_watchdog\n"
        "health = Health(stall_seconds=0.2); start_watchdog(health)\n"
        "time.sleep(30)"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"PATH": os.environ["PATH"]}, timeout=20, check=False)
    assert done.returncode == 70
