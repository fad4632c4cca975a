"""The SQL of a revision as it will run, and what the linter finds in it."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.kinds.contracting import offline_sql
from engine.kinds.migration_sql import explained, lint

REPOSITORY = Path(__file__).parents[2]
HEAD = '''"""Add a note."""
revision = "{revision}"
down_revision = {down!r}
from alembic import op
import sqlalchemy as sa


def upgrade() -> None:
    {body}
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "versions").mkdir()
    for name in ("env.py", "script.py.mako"):
        (tmp_path / name).write_text((REPOSITORY / "migrations" / name).read_text())
    return tmp_path


def _revision(folder: Path, revision: str, down: str | None, body: str) -> dict[str, str]:
    text = HEAD.format(revision=revision, down=down, body=body)
    (folder / "versions" / f"{revision}.py").write_text(text)
    return {"revision": revision, "down": down or "", "digest": hashlib.sha256(text.encode()).hexdigest()}


def test_a_revision_shows_its_own_statements_and_nothing_else(folder: Path) -> None:
    first = _revision(folder, "a1", None, 'op.execute("CREATE TABLE bo.t (id bigint)")')
    second = _revision(folder, "a2", "a1", 'op.add_column("t", sa.Column("n", sa.Integer()), schema="bo")')
    found = explained(folder, [first, second])
    assert [s["text"] for s in found["scripts"]] == [
        "CREATE TABLE bo.t (id bigint);", "ALTER TABLE bo.t ADD COLUMN n INTEGER;"]
    assert "CREATE TABLE" not in str(explained(folder, [second])["scripts"])


def test_an_edited_revision_is_read_anew(folder: Path) -> None:
    before = explained(folder, [_revision(folder, "b1", None, 'op.execute("SELECT 1")')])
    after = explained(folder, [_revision(folder, "b1", None, 'op.execute("SELECT 2")')])
    assert before["scripts"][0]["text"] == "SELECT 1;" and after["scripts"][0]["text"] == "SELECT 2;"


def test_what_cannot_be_told_is_said(folder: Path) -> None:
    asking = _revision(folder, "c1", None, 'op.get_bind().execute(sa.text("SELECT 1")).scalar_one()')
    [script] = explained(folder, [asking])["scripts"]
    assert script["text"].startswith("-- It cannot be told beforehand")


@pytest.mark.parametrize(("sql", "rule", "line"), [
    ("SELECT 1;\nALTER TABLE t ALTER COLUMN c SET NOT NULL;", "adding-not-nullable-field", 2),
    ("ALTER TABLE t ALTER COLUMN c TYPE bigint;", "changing-column-type", 1),
    ("CREATE INDEX i ON t (c);", "require-concurrent-index-creation", 1),
    ("ALTER TABLE t ADD COLUMN c int;", "require-lock-timeout", 1)])
def test_findings(sql: str, rule: str, line: int) -> None:
    assert any(f.endswith(f"({rule})") and f.startswith(f"line {line}:") for f in lint(sql)), lint(sql)


def test_sound_sql_has_no_findings() -> None:
    assert lint("SET LOCAL lock_timeout = '1s';\nSET LOCAL statement_timeout = '5s';\n"
                "ALTER TABLE t ADD COLUMN c bigint;") == ()


def test_many_environments_may_ask_at_once(folder: Path) -> None:
    """Alembic keeps one context a process; environments are read in threads."""
    found = [_revision(folder, f"c{i}", f"c{i - 1}" if i else None, f'op.execute("DROP TABLE bo.t{i}")')
             for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        asked = list(pool.map(lambda r: offline_sql(folder, r["down"], r["revision"]), found * 8))
    assert [f"bo.t{i % 4}" in text for i, text in enumerate(asked)] == [True] * 32
