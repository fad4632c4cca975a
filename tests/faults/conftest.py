"""One PostgreSQL, one Apache Kafka and one road under load for all faults, and the table of what was measured.

The short version runs with all tests; `make faults` sets FAULTS=all and runs every fault.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults import recovery
from tests.faults.road import Lane, Road
from tests.streamapp_live.broker import Broker
from tests.support.postgres import PostgresServer

FULL = os.environ.get("FAULTS") == "all"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the faults marked `full` out of the short version."""
    for item in items:
        if item.get_closest_marker("full") and not FULL:
            item.add_marker(pytest.mark.skip(reason="make faults runs every fault"))


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    with PostgresServer.started() as server:
        yield server


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    with Broker.started("apache") as broker:
        yield broker


@pytest.fixture(scope="session")
def forgetful() -> Iterator[Broker]:
    """A broker that loses its last second when it is killed."""
    with Broker.started("noida") as broker:
        yield broker


@pytest.fixture(scope="session")
def lane(server: PostgresServer, broker: Broker) -> Iterator[Lane]:
    with TemporaryDirectory(prefix="txplan-faults-") as folder:
        lane = Lane(server, broker, Path(folder))
        try:
            yield lane
        finally:
            lane.close()


@pytest.fixture
def road(lane: Lane) -> Road:
    """A road under load that has been proved so far."""
    return lane.road()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table."""
    if recovery.MEASURED:
        terminalreporter.section("time to recover")
        for line in recovery.table():
            terminalreporter.write_line(line)
