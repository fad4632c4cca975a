"""Each file in `cases/` gives exactly the diagnostics that its `.expected` sibling lists, each where it belongs.

A line of an expected file is `severity code file:line:column`; the file is named by its last part.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from engine.load import load_manifest
from engine.model.diagnostic import Diagnostic

CASES = Path(__file__).with_name("cases")
TODAY = date(2026, 11, 23)
SECRET = "hunter2"


def line(diagnostic: Diagnostic) -> str:
    at = diagnostic.position
    assert at is not None
    return f"{diagnostic.severity} {diagnostic.code} {Path(at.file).name}:{at.line}:{at.column}"


@pytest.mark.parametrize("path", sorted(CASES.glob("*.yaml")), ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    expected = path.with_suffix(".expected").read_text("utf-8").splitlines()
    manifest, found = load_manifest(path, today=TODAY)
    assert [line(diagnostic) for diagnostic in found] == expected
    assert (manifest is None) == any(text.startswith("error") for text in expected)
    for diagnostic in found:
        assert diagnostic.summary and diagnostic.mend
        assert SECRET not in repr(diagnostic)


def test_every_expected_file_has_a_case() -> None:
    assert {path.stem for path in CASES.glob("*.expected")} == {path.stem for path in CASES.glob("*.yaml")}
