"""A source database as somebody else would have made it, and a reconciliation of it as a job.

Owns the foreign table's types: other names, other orders, other scales than the store's. The role may read, no more.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from tests.support import jobs
from tests.support.postgres import Database, PostgresServer

Conn = psycopg.Connection[TupleRow]
READER = "source_reader"
T = datetime(2026, 6, 1, tzinfo=UTC)
TABLES = """
CREATE TYPE kind AS ENUM ('PAYMENT', 'RECEIVE', 'CHARGE', 'HOLD', 'TOPUP');
CREATE TABLE ledger (
    version integer, type kind, amount numeric(20,4), wallet_id varchar(80), tx_id text PRIMARY KEY,
    created_at timestamptz, updated_at timestamptz, related_id text, related_type char(13), note jsonb);
CREATE TABLE orders (
    order_id varchar(64) PRIMARY KEY, user_id bigint, merchant_name text, amount text, status text,
    created_at timestamptz, updated_at timestamptz, source_version numeric, big boolean);
"""


def source_database(server: PostgresServer) -> Database:
    """Empty tables `ledger` and `orders`, and a role that may read them."""
    database = server.database(migrated=False)
    server.passwords[READER] = server.passwords.get(READER) or secrets.token_hex(16)
    with psycopg.connect(database.conninfo(), autocommit=True) as conn:
        if conn.execute("SELECT FROM pg_roles WHERE rolname = %s", (READER,)).fetchone() is None:
            conn.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                sql.Identifier(READER), sql.Literal(server.passwords[READER])))
        conn.execute(TABLES.encode())
        conn.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database.name)))
        conn.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
            sql.Identifier(database.name), sql.Identifier(READER)))
        conn.execute(sql.SQL("GRANT SELECT ON ledger, orders TO {}").format(sql.Identifier(READER)))
    return database


def fill(conn: Conn, payments: int) -> None:
    """Payments with zeros behind the point, nulls, other scripts, and times before and after others."""
    conn.execute(
        """INSERT INTO orders SELECT 'po-' || n, n, CASE WHEN n %% 3 > 0 THEN 'Käse ' || n END,
                  round((n %% 1000)::numeric / 10, 2), 'SETTLED',
                  '2026-01-01 00:00+00'::timestamptz + n * interval '1 second', NULL, n %% 4, NULL
           FROM generate_series(1, %s) n""", (payments,))
    conn.execute(
        """INSERT INTO ledger SELECT CASE WHEN n %% 5 > 0 THEN n %% 7 END, k::kind, (n %% 1000)::numeric / 10,
                  'w-' || n, 'tx-' || n || '-' || k, '2026-01-01 00:00+00'::timestamptz + n * interval '1 second',
                  CASE WHEN n %% 2 = 0 THEN '2026-02-01 00:00+00'::timestamptz END, 'po-' || n, 'PAYMENT_ORDER', '{}'
           FROM generate_series(1, %s) n, unnest(ARRAY['PAYMENT', 'RECEIVE', 'TOPUP']) k""", (payments,))


def as_source(database: Database) -> dict[str, str]:
    return {f"SOURCE_{name}": value for name, value in database.environment(READER).items()}


POSTGRES = {"kind": "postgres", "orders_table": "orders", "ledger_table": "ledger"}


def spec(source: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"source": source, "t_cutover": T.isoformat(), "skew_s": 300.0, "group": "g", **more}


def reconcile(store: Database, source: dict[str, Any], *, env: dict[str, str] | None = None,
              **more: Any) -> jobs.Finished:
    return jobs.run("reconcile", store.environment("bo_consumer") | (env or {}), "RECONCILE_SPEC",
                    spec(source, **more))


def result(finished: jobs.Finished) -> dict[str, Any]:
    assert finished.code == 0, (finished.lines, finished.log)
    assert finished.last["event"] == "result"
    return finished.last


def found(finished: jobs.Finished) -> dict[str, set[str]]:
    """Class to the keys among the samples."""
    classes: dict[str, set[str]] = {}
    for line in finished.lines:
        if line["event"] == "difference":
            classes.setdefault(line["class"], set()).add(line["key"])
    return classes


def counts(finished: jobs.Finished, names: Sequence[str] = ("missing", "extra", "stale", "diverged")) -> list[int]:
    tables = result(finished)["tables"].values()
    return [sum(table[name] for table in tables) for name in names]
