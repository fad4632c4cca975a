"""One PostgreSQL and one broker an engine for all tests of this folder; a database and topics of its own for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.streamapp_live.broker import Broker
from tests.streamapp_live.stage import Stage
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    with PostgresServer.started() as server:
        yield server


@pytest.fixture(scope="session", params=["noida", "apache"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    with Broker.started(request.param) as broker:
        yield broker


@pytest.fixture
def stage(server: PostgresServer, broker: Broker, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(server, broker, tmp_path)
    yield stage
    stage.end()
