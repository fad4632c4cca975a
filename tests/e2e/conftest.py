"""Environments for the tests of the whole road."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.stage import Stage, staged


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An environment that serves, shared by the tests that leave it serving."""
    with staged(tmp_path_factory.mktemp("up")) as stage:
        result = stage.apply()
        assert result.code == 0, result.failures
        yield stage
