"""A server for the session; for each test a store that was loaded from a source of other types, and that source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

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
    return source_database(server), server.database()


@pytest.fixture
def pair(databases: tuple[Database, Database]) -> Iterator[Pair]:
    source_db, store_db = databases
    with (
        psycopg.connect(source_db.conninfo(), autocommit=True) as source,
        psycopg.connect(store_db.conninfo("bo_migrator"), autocommit=True) as store,
    ):
        source.execute("TRUNCATE ledger, orders")
        store.execute("TRUNCATE bo.ledger_entries, bo.payment_orders, bo.consumer_dlq_events, bo.stream_progress, "
                      "bo.backfill_checkpoints, bo.backfill_runs, bo.cutovers")
        fill(source, PAYMENTS)
        cutover = record_cutover(store)
        done(store_db, {**POSTGRES, "cutover_id": cutover, "spec_digest": "d"}, **as_source(source_db))
        source.execute("ANALYZE")
        yield Pair(source_db, store_db, source, store)
