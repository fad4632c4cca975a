"""An ARM server for each test, or one with real data planes for a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.azure.arm import ArmServer


@pytest.fixture
def arm() -> Iterator[ArmServer]:
    """ARM and its vaults; nothing runs behind servers, namespaces and apps."""
    with ArmServer.running() as server:
        yield server


@pytest.fixture(scope="module")
def arm_real() -> Iterator[ArmServer]:
    """With PostgreSQL, a broker, apps and jobs as processes."""
    with ArmServer.running(real=True) as server:
        yield server
