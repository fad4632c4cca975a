"""Files that were made to break a reader are refused with a diagnostic: never a traceback, never a hang."""

from __future__ import annotations

import os
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.load import environment_schema, load_manifest
from engine.load.tree import MAX_BYTES
from engine.model.diagnostic import Diagnostic, Severity

TODAY = date(2026, 11, 23)
GOOD = (Path(__file__).parents[2] / "manifests" / "dev-kim.yaml").read_text("utf-8")


def codes(path: Path) -> list[str]:
    return [diagnostic.code for diagnostic in load(path)]


def load(path: Path) -> list[Diagnostic]:
    manifest, found = load_manifest(path, today=TODAY)
    assert (manifest is None) == any(diagnostic.severity is Severity.ERROR for diagnostic in found)
    assert all(diagnostic.code and diagnostic.summary and diagnostic.position for diagnostic in found)
    return found


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    assert codes(path) == ["too-large"]


@pytest.mark.parametrize("text", [
    "a" * (MAX_BYTES - 1),
    "[" * (MAX_BYTES - 1),
    "{" * (MAX_BYTES - 1),
    "- " * (MAX_BYTES // 2 - 1),
    "? " * (MAX_BYTES // 2 - 1),
    "a: " * (MAX_BYTES // 3 - 1),
    "- a\n" * (MAX_BYTES // 4 - 1),
    "a: b\n" * (MAX_BYTES // 5 - 1),
    "&a " * (MAX_BYTES // 3 - 1),
    "!!" * (MAX_BYTES // 2 - 1),
    "# \n" * (MAX_BYTES // 3 - 1),
    "'" * (MAX_BYTES - 1),
    "".join(f"k{number}: v\n" for number in range(80_000))[: MAX_BYTES - 1],
    "".join(f"&a{number} k{number}: *a{number - 1}\n" if number else "&a0 k: v\n" for number in range(9_000)),
    "owner: " + "9" * (MAX_BYTES - 9),
    "owner: 1e" + "9" * (MAX_BYTES - 11),
    "x" * 500_000 + ": 1\n",
], ids=lambda text: text[:6].strip() + str(len(text)))
def test_a_file_of_the_largest_size_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "large.yaml"
    path.write_text(text, "utf-8")
    found = load(path)
    assert found
    assert all(len(diagnostic.summary) < 300 for diagnostic in found)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    for path in (tmp_path, tmp_path / "none.yaml", tmp_path / "pipe.yaml", tmp_path / "loop.yaml", Path("/dev/zero"),
                 tmp_path / ("x" * 300), tmp_path / "a\0b"):
        assert codes(path) == ["unreadable"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    path.chmod(0)
    assert codes(path) == ["unreadable"]


def test_encodings(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_bytes(GOOD.encode() + "tags: {a: \u00fcber}\n".encode("latin-1"))
    [found] = load(path)
    lines = GOOD.count("\n")
    assert (found.code, found.position and (found.position.line, found.position.column)) == (
        "not-utf8", (lines + 1, 11))
    path.write_bytes(GOOD.encode("utf-16"))
    assert codes(path) == ["not-utf8"]
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert codes(path) == []


def test_a_profile_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(GOOD.replace("cloud-test", "./huge.yaml"))
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(100 << 20)
    assert codes(path) == ["too-large"]
    path.write_text(GOOD.replace("cloud-test", "./e.yaml"))
    assert codes(path) == ["profile-cycle"]


def words(schema: Any) -> list[str]:
    """All names and example values of the schema: what random manifests are made of."""
    found: list[str] = []
    if isinstance(schema, dict):
        for key, value in schema.items():
            found += [key, *words(value)]
    elif isinstance(schema, list):
        for value in schema:
            found += words(value)
    elif isinstance(schema, str):
        found.append(schema)
    return found


WORDS = sorted(set(words(environment_schema())))
KEYS = st.sampled_from(sorted(environment_schema()["properties"]))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(WORDS),
                    st.dates(), st.binary(max_size=4))
VALUES = st.recursive(SCALARS, lambda inner: st.one_of(
    st.lists(inner, max_size=3),
    st.dictionaries(st.one_of(st.sampled_from(WORDS), st.text(max_size=4)), inner, max_size=4)), max_leaves=12)
BOUNDED = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def load_bytes(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fuzz.yaml"
        path.write_bytes(content)
        load(path)


@BOUNDED
@given(st.one_of(st.binary(max_size=200),
                 st.text("\n :-[]{}&*!|>'\"%@`#,?~<=\t0aé\u2028", max_size=200).map(str.encode)))
def test_any_bytes(content: bytes) -> None:
    load_bytes(content)


@BOUNDED
@given(st.dictionaries(KEYS, VALUES, max_size=8))
def test_any_values_of_known_keys(changes: dict[str, Any]) -> None:
    load_bytes(yaml.safe_dump({**yaml.safe_load(GOOD), **changes}, allow_unicode=True).encode("utf-8", "replace"))


@BOUNDED
@given(st.integers(0, len(GOOD)), st.integers(0, 20), st.text(max_size=10))
def test_any_edit_of_a_good_manifest(at: int, removed: int, added: str) -> None:
    load_bytes((GOOD[:at] + added + GOOD[at + removed:]).encode("utf-8", "replace"))


@BOUNDED
@given(st.lists(st.sampled_from([
    "names", "short", "hubs", "ledger", "order", "partitions", "retention", "3d", "1", "backfill", "source", "files",
    "orders", "none", "secrets", "api-token", "generate", "32", "consumer", "replicas", "&a", "*a", "[", "]", "{", "}",
    ": ", ", ", "\n", "\n  ", "\n    ", "- ", "~", "'", "!!str ", "!!python/name:os.system ", "<<", "|\n", "---\n"]),
    max_size=40))
def test_any_run_of_tokens(tokens: list[str]) -> None:
    load_bytes((GOOD + " ".join(tokens)).encode())


PROFILE = (Path(__file__).parents[2] / "manifests" / "profiles" / "cloud-test.yaml").read_text("utf-8")


@BOUNDED
@given(st.integers(0, len(PROFILE)), st.integers(0, 40), st.one_of(st.text(max_size=10), st.sampled_from(WORDS)))
def test_any_edit_of_a_profile(at: int, removed: int, added: str) -> None:
    """A profile is read by the same rules, and what is wrong in it is told at its place."""
    with tempfile.TemporaryDirectory() as folder:
        edited = PROFILE[:at] + added + PROFILE[at + removed:]
        (Path(folder) / "mine.yaml").write_bytes(edited.encode("utf-8", "replace"))
        path = Path(folder) / "fuzz.yaml"
        path.write_text(GOOD.replace("profile: cloud-test", "profile: ./mine.yaml"), "utf-8")
        load(path)
