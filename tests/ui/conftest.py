"""A large plan, made once: to write it takes longer than what is asked of it."""

from __future__ import annotations

import pytest

from tests.ui.stage import State, tree


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> State:
    """30,000 steps, of which a run has done 17,000 and is at the next eight."""
    state = State(tmp_path_factory.mktemp("many"))
    state.begin(state.plan(*tree(30_000)), 17_000, 8)
    return state
