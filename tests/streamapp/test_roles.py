"""Least rights, by trying: every role against every relation of the schema, and what no role may do at all.

ALLOWED is the one declaration; what it names must work, and all else, also on a table that is made later, must be
refused by the server.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors, sql

from tests.support.postgres import Database, PostgresServer

ROLES = ("bo_api", "bo_consumer", "bo_reviewer")
READ, INSERT, UPDATE, DELETE, TRUNCATE = "SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"
OPERATIONS = (READ, INSERT, UPDATE, DELETE, TRUNCATE)
WRITE = {READ, INSERT, UPDATE}
ALLOWED: dict[tuple[str, str], set[str]] = {
    ("bo_api", "ledger_entries"): {READ},
    ("bo_api", "payment_orders"): {READ},
    ("bo_api", "ledger_sides"): {READ},
    ("bo_api", "payment_ledger_pairs"): {READ},
    ("bo_api", "stream_progress"): {READ},
    ("bo_api", "consumer_dlq_events"): {READ},
    ("bo_api", "admin_audit_logs"): {INSERT},
    ("bo_consumer", "ledger_entries"): WRITE,
    ("bo_consumer", "payment_orders"): WRITE,
    ("bo_consumer", "ledger_sides"): {READ},
    ("bo_consumer", "payment_ledger_pairs"): {READ},
    ("bo_consumer", "consumer_dlq_events"): WRITE,
    ("bo_consumer", "stream_progress"): WRITE,
    ("bo_consumer", "backfill_runs"): WRITE,
    ("bo_consumer", "backfill_checkpoints"): WRITE,
    ("bo_reviewer", "admin_audit_logs"): {READ},
}
# What an attacker who holds a role's password would try next.
FORBIDDEN = (
    "CREATE TABLE bo.mine (x int)",
    "CREATE TABLE public.mine (x int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION bo.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE mine",
    "ALTER TABLE bo.ledger_entries ADD COLUMN mine int",
    "ALTER TABLE bo.admin_audit_logs DISABLE TRIGGER ALL",
    "DROP TABLE bo.admin_audit_logs",
    "CREATE INDEX ON bo.ledger_entries (amount)",
    "LOCK TABLE bo.admin_audit_logs IN ACCESS EXCLUSIVE MODE",
    "GRANT bo_migrator TO bo_api",
    "SET ROLE bo_migrator",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION bo_migrator",
    "ALTER ROLE bo_migrator PASSWORD 'mine'",
    "SELECT rolpassword FROM pg_authid",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY bo.ledger_entries TO PROGRAM 'cat'",
    "COPY (SELECT 1) TO '/dev/null'",
    "SELECT pg_reload_conf()",
    "SET session_replication_role = 'replica'",
    "SELECT lo_import('/etc/passwd')",
)


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with PostgresServer.started() as server:
        yield server.database()


@pytest.fixture(params=ROLES)
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def connected(database: Database, role: str) -> psycopg.Connection[tuple[object, ...]]:
    """A session of the role: by its login, or as the reviewer's command takes it."""
    if role != "bo_reviewer":
        return psycopg.connect(database.conninfo(role))
    connection = psycopg.connect(database.conninfo("bo_migrator"))
    connection.execute("SET ROLE bo_reviewer")
    connection.commit()
    return connection


def relations(database: Database) -> dict[str, tuple[str, str]]:
    """Kind and first column of every table and view in the schema."""
    with psycopg.connect(database.conninfo()) as connection:
        rows = connection.execute(
            "SELECT c.relname, c.relkind::text, (SELECT attname FROM pg_attribute a WHERE a.attrelid = c.oid "
            "AND attnum > 0 AND NOT attisdropped ORDER BY attnum LIMIT 1) "
            "FROM pg_class c WHERE relnamespace = 'bo'::regnamespace AND relkind IN ('r', 'v', 'm', 'p')"
        ).fetchall()
    return {name: (kind, column) for name, kind, column in rows}


def statement(operation: str, name: str, column: str) -> sql.Composed:
    shapes = {
        READ: "SELECT * FROM bo.{table} LIMIT 1",
        INSERT: "INSERT INTO bo.{table} DEFAULT VALUES",
        UPDATE: "UPDATE bo.{table} SET {column} = DEFAULT WHERE false",
        DELETE: "DELETE FROM bo.{table} WHERE false",
        TRUNCATE: "TRUNCATE bo.{table}",
    }
    return sql.SQL(shapes[operation]).format(table=sql.Identifier(name), column=sql.Identifier(column))


def works(connection: psycopg.Connection[tuple[object, ...]], query: sql.Composed, kind: str) -> bool:
    """Whether the server lets it through; a row that a constraint refuses was let through by the rights."""
    try:
        connection.execute(query)
        return True
    except errors.InsufficientPrivilege:
        return False
    except psycopg.Error:
        return kind == "r"
    finally:
        connection.rollback()


def test_what_is_needed_works_and_all_else_is_refused(database: Database, role: str) -> None:
    found: dict[tuple[str, str], set[str]] = {}
    with connected(database, role) as connection:
        for name, (kind, column) in relations(database).items():
            can = {o for o in OPERATIONS if works(connection, statement(o, name, column), kind)}
            if can:
                found[role, name] = can
    assert found == {key: value for key, value in ALLOWED.items() if key[0] == role}


def test_no_sequence_can_be_moved(database: Database, role: str) -> None:
    with connected(database, role) as connection:
        sequence = "bo.admin_audit_logs_id_seq"
        for query in (f"SELECT setval('{sequence}', 1)", f"SELECT last_value FROM {sequence}"):  # noqa: S608
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(query.encode())
            connection.rollback()


@pytest.mark.parametrize("query", FORBIDDEN)
def test_no_role_gets_further(database: Database, role: str, query: str) -> None:
    if role == "bo_reviewer" and query.startswith("SET "):
        # The session is the migrator's there; what a login with this role alone may take is asked for itself.
        with connected(database, role) as connection:
            member_of = "SELECT count(*) FROM pg_auth_members WHERE member = 'bo_reviewer'::regrole"
            row = connection.execute(member_of.encode()).fetchone()
        assert row == (0,)
        return
    with connected(database, role) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(query.encode())


def test_the_api_and_the_gates_say_the_same(database: Database) -> None:
    with connected(database, "bo_api") as connection:
        assert connection.execute("SELECT bo.status_group('PAID')").fetchone() == ("SUCCESS",)


def test_only_the_consumer_may_stage_rows(database: Database) -> None:
    for role in ROLES:
        with connected(database, role) as connection:
            made = works(connection, sql.SQL("CREATE TEMP TABLE mine (x int)").format(), "v")
        assert made == (role == "bo_consumer")


def test_nobody_else_reaches_the_database(database: Database) -> None:
    with psycopg.connect(database.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
    login = {"host": "127.0.0.1", "port": database.port, "user": "stranger", "password": "stranger"}
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(**login, dbname=database.name)
