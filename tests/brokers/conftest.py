"""The contract runs on every engine; Apache Kafka is the reference. An engine that cannot run here says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.providers.local.brokers import ENGINES
from engine.providers.local.brokers.engine import BrokerEngine
from tests.brokers.differences import Contract
from tests.brokers.server import Server


@pytest.fixture(scope="session", params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> BrokerEngine:
    return ENGINES[request.param]


@pytest.fixture(scope="session")
def server(engine: BrokerEngine) -> Iterator[Server]:
    """One server an engine for all tests that leave it standing."""
    with Server.running_or_skip(engine) as server:
        yield server


@pytest.fixture(scope="module")
def own_server(engine: BrokerEngine) -> Iterator[Server]:
    """A server that a module's tests may stop and kill, and start again."""
    with Server.running_or_skip(engine) as server:
        yield server


@pytest.fixture
def contract(engine: BrokerEngine) -> Contract:
    return Contract(engine.name)
