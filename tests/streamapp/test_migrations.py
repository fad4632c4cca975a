"""The migrations: from nothing to head, again, on a bare server, offline. What roles may do: `test_roles`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import errors

from tests.support.postgres import MIGRATIONS, Database, PostgresServer


def migrate(database: Database, role: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "streamapp", "migrate", "--dir", str(MIGRATIONS)],
        env={**os.environ, **database.environment(role)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def alembic(database: Database, *arguments: str) -> str:
    code = (
        "import sys; from alembic.config import CommandLine, Config\n"
        "c = CommandLine(); o = c.parser.parse_args(sys.argv[2:]); g = Config(cmd_opts=o)\n"
        "g.set_main_option('script_location', sys.argv[1]); c.run_cmd(g, o)"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(MIGRATIONS), *arguments],
        env={**os.environ, **database.environment("bo_migrator")}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def test_from_nothing_to_head_and_again(server: PostgresServer) -> None:
    database = server.database(migrated=False)
    first = migrate(database, "bo_migrator")
    assert first["from"] is None
    assert first["applied"]
    again = migrate(database, "bo_migrator")
    assert (again["from"], again["revision"], again["applied"]) == (first["revision"], first["revision"], [])


def test_two_at_once_run_each_revision_once(server: PostgresServer) -> None:
    database = server.database(migrated=False)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: migrate(database, "bo_migrator"), range(2)))
    assert results[0]["revision"] == results[1]["revision"]


def test_a_bare_server_without_the_roles(server: PostgresServer) -> None:
    with PostgresServer.started() as bare:
        with psycopg.connect(bare.bare("postgres").conninfo(), autocommit=True) as conn:
            conn.execute("CREATE DATABASE other")
        migrate(bare.bare("other"), "postgres")
        with psycopg.connect(bare.bare("other").conninfo()) as conn:
            roles = conn.execute("SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname ~ '^bo_' ORDER BY 1")
            made = ("bo_api", "bo_consumer", "bo_migrator", "bo_reviewer")
            assert roles.fetchall() == [(role, False) for role in made]


def test_offline_sql_builds_the_same_schema(server: PostgresServer) -> None:
    migrated, offline = server.database(), server.database(migrated=False)
    script = alembic(offline, "upgrade", "head", "--sql")
    with psycopg.connect(offline.conninfo("bo_migrator"), autocommit=True) as conn:
        conn.execute(script.encode())
    assert shape(offline) == shape(migrated)
    assert len(shape(migrated)) > 80


def test_down_and_up_again(server: PostgresServer) -> None:
    database = server.database()
    before = shape(database)
    alembic(database, "downgrade", "base")
    assert [row for row in shape(database) if not row[0].startswith("alembic_version")] == []
    migrate(database, "bo_migrator")
    assert shape(database) == before


def shape(database: Database) -> list[tuple[str, ...]]:
    with psycopg.connect(database.conninfo()) as conn:
        return conn.execute(
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text, "
            "c.relacl::text, c.relowner::regrole::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE c.relnamespace = 'bo'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2"
        ).fetchall()


def test_the_row_hash_cannot_be_written(database: Database) -> None:
    with psycopg.connect(database.conninfo("bo_migrator")) as conn, pytest.raises(errors.GeneratedAlways):
        conn.execute("UPDATE bo.ledger_entries SET row_hash = 0")
