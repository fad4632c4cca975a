"""The migrations: from nothing to head, again, on a bare server, offline; and what each role may not do."""

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
            assert roles.fetchall() == [("bo_api", False), ("bo_consumer", False), ("bo_migrator", False)]


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


ALLOWED = {
    "bo_api": [
        "SELECT * FROM bo.ledger_entries",
        "SELECT * FROM bo.payment_orders",
        "SELECT * FROM bo.payment_ledger_pairs",
        "SELECT * FROM bo.stream_progress",
        "SELECT bo.status_group('PAID')",
        "INSERT INTO bo.admin_audit_logs (actor, action, target, result_count, status) VALUES ('a', 'a', 't', 1, 200)",
    ],
    "bo_consumer": [
        "SELECT * FROM bo.ledger_entries",
        "UPDATE bo.payment_orders SET status = 'PAID'",
        "UPDATE bo.stream_progress SET end_offset = 1",
        "INSERT INTO bo.consumer_dlq_events (topic, partition, \"offset\", error_class, error_detail) "
        "VALUES ('t', 0, 0, 'c', 'd')",
        "CREATE TEMPORARY TABLE x (a int)",
    ],
}  # fmt: skip
FORBIDDEN = {
    "bo_api": [
        "INSERT INTO bo.payment_orders (order_id, amount, status, created_at, src) "
        "VALUES ('o', 1, 'S', now(), 'stream')",
        "UPDATE bo.ledger_entries SET amount = 0",
        "DELETE FROM bo.ledger_entries",
        "SELECT * FROM bo.admin_audit_logs",
        "UPDATE bo.admin_audit_logs SET actor = 'x'",
        "DELETE FROM bo.admin_audit_logs",
        "UPDATE bo.stream_progress SET caught_up_at = now()",
        "SELECT * FROM bo.cutovers",
        "SELECT * FROM bo.proofs",
        "CREATE TABLE bo.x (a int)",
        "CREATE TEMPORARY TABLE x (a int)",
        "CREATE SCHEMA x",
        "TRUNCATE bo.ledger_entries",
    ],
    "bo_consumer": [
        "DELETE FROM bo.ledger_entries",
        "DELETE FROM bo.consumer_dlq_events",
        "TRUNCATE bo.ledger_entries",
        "INSERT INTO bo.admin_audit_logs (actor, action, target, result_count, status) VALUES ('a', 'a', 't', 1, 200)",
        "SELECT * FROM bo.admin_audit_logs",
        "UPDATE bo.cutovers SET state = 'syncing'",
        "INSERT INTO bo.proofs (step, subject_digest, outcome, started_at, finished_at, detail) "
        "VALUES ('s', 'd', 'pass', now(), now(), '{}')",
        "DELETE FROM bo.backfill_checkpoints",
        "UPDATE bo.alembic_version SET version_num = 'x'",
        "ALTER TABLE bo.ledger_entries ADD COLUMN x int",
        "DROP VIEW bo.payment_ledger_pairs",
        "CREATE TABLE bo.x (a int)",
        "CREATE SCHEMA x",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("role", "statement"), [(r, s) for r, all_ in FORBIDDEN.items() for s in all_])
def test_no_role_has_more(database: Database, role: str, statement: str) -> None:
    with psycopg.connect(database.conninfo(role)) as conn, pytest.raises(errors.InsufficientPrivilege):
        conn.execute(statement.encode())


@pytest.mark.parametrize(("role", "statement"), [(r, s) for r, all_ in ALLOWED.items() for s in all_])
def test_each_role_has_what_it_needs(database: Database, role: str, statement: str) -> None:
    with psycopg.connect(database.conninfo(role)) as conn:
        conn.execute(statement.encode())
        conn.rollback()


def test_the_row_hash_cannot_be_written(database: Database) -> None:
    with psycopg.connect(database.conninfo("bo_migrator")) as conn, pytest.raises(errors.GeneratedAlways):
        conn.execute("UPDATE bo.ledger_entries SET row_hash = 0")
