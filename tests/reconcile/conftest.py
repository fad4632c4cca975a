"""A server for the session; for each test a store that was loaded from a source of other types, and that source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from streamapp.entities import ENTITIES
from tests.reconcile.sources import POSTGRES, Conn, as_source, fill, source_database
from tests.support.backfills import done
from tests.support.cutovers import record_cutover
from tests.support.postgres import Database, PostgresServer

PAYMENTS = 2_000


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    with PostgresServer.started() as running:
        yield running


@dataclass(frozen=True)
class Pair:
    """A source, and the store that was filled from it; both as their owners may write to them."""

    source_database: Database
    store_database: Database
    source: Conn
    store: Conn

    @property
    def env(self) -> dict[str, str]:
        return as_source(self.source_database)


@pytest.fixture(scope="session")
def databases(server: PostgresServer) -> tuple[Database, Database]:
    """Source and store, the store filled by the backfill, and both tables of each kept aside as `kept.…`."""
    source_db, store_db = source_database(server), server.database()
    with (
        psycopg.connect(source_db.conninfo(), autocommit=True) as source,
        psycopg.connect(store_db.conninfo(), autocommit=True) as store,
    ):
        fill(source, PAYMENTS)
        done(store_db, {**POSTGRES, "cutover_id": record_cutover(store), "spec_digest": "d"}, **as_source(source_db))
        for conn, tables in ((source, ("ledger", "orders")), (store, ("ledger_entries", "payment_orders"))):
            conn.execute("CREATE SCHEMA kept")
            schema = "public" if conn is source else "bo"
            for table in tables:
                conn.execute(f"CREATE TABLE kept.{table} AS TABLE {schema}.{table}".encode())
        store.execute("GRANT USAGE ON SCHEMA kept TO bo_migrator")
        store.execute("GRANT SELECT ON ALL TABLES IN SCHEMA kept TO bo_migrator")
    return source_db, store_db


@pytest.fixture
def pair(databases: tuple[Database, Database]) -> Iterator[Pair]:
    source_db, store_db = databases
    with (
        psycopg.connect(source_db.conninfo(), autocommit=True) as source,
        psycopg.connect(store_db.conninfo("bo_migrator"), autocommit=True) as store,
    ):
        for table in ("ledger", "orders"):
            source.execute(f"TRUNCATE {table}; INSERT INTO {table} TABLE kept.{table}; ANALYZE {table}".encode())
        store.execute("TRUNCATE bo.stream_progress, bo.backfill_checkpoints, bo.backfill_runs, bo.cutovers")
        for entity in ENTITIES:
            kept, columns = entity.table.replace("bo.", "kept."), f"{entity.names}, src"
            store.execute(f"TRUNCATE {entity.table}; INSERT INTO {entity.table} ({columns}) "  # noqa: S608 - own names
                          f"SELECT {columns} FROM {kept}; ANALYZE {entity.table}".encode())
        yield Pair(source_db, store_db, source, store)
