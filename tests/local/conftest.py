"""Fixtures: environments that are destroyed after use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .environment import Local, destroyed, open_local


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    """An environment that does not exist yet, destroyed after the test."""
    yield from destroyed(open_local(tmp_path / "state"))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """An environment with its database, shared by the tests of a module."""
    for local in destroyed(open_local(tmp_path_factory.mktemp("shared") / "state")):
        local.make_database()
        yield local
