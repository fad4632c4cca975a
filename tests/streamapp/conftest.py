"""A PostgreSQL server for the session, and a migrated database for a module, emptied for each test."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import settings
from psycopg.rows import TupleRow

from tests.support.postgres import Database, PostgresServer

# How long an example takes says nothing about right or wrong.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

EMPTY = (
    "TRUNCATE bo.ledger_entries, bo.payment_orders, bo.consumer_dlq_events, bo.stream_progress, "
    "bo.backfill_checkpoints, bo.backfill_runs, bo.cutovers"
)


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    with PostgresServer.started() as running:
        yield running


@pytest.fixture(scope="module")
def module_database(server: PostgresServer) -> Database:
    return server.database()


@pytest.fixture
def database(module_database: Database) -> Database:
    """A migrated database with empty tables."""
    with psycopg.connect(module_database.conninfo(), autocommit=True) as conn:
        conn.execute(EMPTY)
    return module_database


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection[TupleRow]]:
    """A connection as bo_migrator, in autocommit."""
    with psycopg.connect(database.conninfo("bo_migrator"), autocommit=True) as conn:
        yield conn
