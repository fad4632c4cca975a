"""The contract runs on every engine; Apache Kafka is the reference. An engine that cannot run here says why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from engine.model.diagnostic import Refused
from engine.providers.local.brokers import ENGINES
from engine.providers.local.brokers.engine import BrokerEngine
from tests.brokers.differences import Contract
from tests.brokers.server import Server

# What a machine may lack; any other refusal is a failure.
_LACKING = {"broker-not-installed", "java-missing", "maven-missing", "kafka-missing", "kafka-fetch-failed"}


@pytest.fixture(scope="session", params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> BrokerEngine:
    return ENGINES[request.param]


@pytest.fixture(scope="session")
def server(engine: BrokerEngine) -> Iterator[Server]:
    """One server an engine for all tests that leave it standing."""
    with ExitStack() as stack:
        yield _started(engine, stack)


@pytest.fixture(scope="module")
def own_server(engine: BrokerEngine) -> Iterator[Server]:
    """A server that a module's tests may stop and kill, and start again."""
    with ExitStack() as stack:
        yield _started(engine, stack)


@pytest.fixture
def contract(engine: BrokerEngine) -> Contract:
    return Contract(engine.name)


def _started(engine: BrokerEngine, stack: ExitStack) -> Server:
    try:
        return stack.enter_context(Server.running(engine))
    except Refused as problem:
        if {d.code for d in problem.diagnostics} <= _LACKING:
            pytest.skip(f"not run on {engine.name}: {problem}; {problem.diagnostics[0].mend}")
        raise
