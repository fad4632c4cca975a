"""A check of dependencies that could look nothing up is no check."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.advisories import CLEAN, UNCHECKED, VULNERABLE, verdict

FINE = {"name": "fine", "version": "1.0", "vulns": []}
BAD = {"name": "bad", "version": "1.0",
       "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": [], "description": "…"}]}  # fmt: skip
UNKNOWN = {"name": "unknown", "skip_reason": "Dependency not found on PyPI and could not be audited: unknown (1.0)"}


@pytest.mark.parametrize(("found", "code"), [
    ([FINE], CLEAN), ([FINE, BAD], VULNERABLE), ([BAD, UNKNOWN], VULNERABLE), ([FINE, UNKNOWN], UNCHECKED),
    ([UNKNOWN], UNCHECKED), ([], UNCHECKED)])  # fmt: skip
def test_only_what_was_looked_up_can_be_clean(found: list[Any], code: int) -> None:
    assert verdict({"dependencies": found, "fixes": []})[0] == code
