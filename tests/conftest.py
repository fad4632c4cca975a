"""Which tests stay together where several workers share them: those of a file, and all of the brokers.

A file's tests share servers and environments; the brokers' tests are sorted so that each engine starts once.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

BROKERS = "tests/brokers"


class Together(LoadFileScheduling):
    """A file to a worker, the brokers to one."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return BROKERS if file.startswith(f"{BROKERS}/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    """Asked once, where there are workers."""
    return Together(config, log)
