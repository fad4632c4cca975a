"""A plan is carried out only where the code and the revisions are those that it was made of, and is held against both
before its first change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.applying.bound import refuse_moved
from engine.kinds.base import discover
from engine.model.change import Action, Change
from engine.model.diagnostic import Refused
from tests.guardrails.judging import planned


def codes(changes: list[Change]) -> set[str]:
    try:
        refuse_moved(changes, discover())
    except Refused as refused:
        assert refused.exit_code == 5
        return {d.code for d in refused.diagnostics}
    return set()


@pytest.mark.parametrize(("address", "moved", "code"), [
    ("app.api", {"code": "0" * 64}, "code-moved"),
    ("migrate.schema", {"chain": [{"digest": "0" * 64}]}, "migrations-moved")])
def test_what_moved_is_told_before_anything_is_done(tmp_path: Path, address: str, moved: dict[str, object],
                                                    code: str) -> None:
    changes = list(planned(tmp_path, built=False).changes)
    assert codes(changes) == set()
    other = [replace(c, spec={**c.spec, **moved}) if str(c.address) == address else c for c in changes]
    assert codes(other) == {code}
    assert codes([replace(c, action=Action.DELETE) for c in other]) == set(), "one may always leave"
