"""Each class of difference is found, by key, in a source of other types that may only be read; equal is equal."""

from __future__ import annotations

import signal
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from streamapp.backfill.postgres import PostgresSource
from streamapp.backfill.spec import Postgres as spec_of
from streamapp.entities import ENTITIES, LEDGER
from streamapp.reconcile import compare
from streamapp.reconcile.canonical import canonical
from streamapp.reconcile.compare import Comparison
from streamapp.reconcile.sides import database_sides, store_side
from streamapp.settings import postgres_settings
from tests.reconcile.conftest import PAYMENTS, Pair
from tests.reconcile.sources import (
    POSTGRES,
    T,
    as_source,
    counts,
    fill,
    found,
    reconcile,
    result,
    source_database,
    spec,
)
from tests.support import jobs
from tests.support.backfills import done
from tests.support.cutovers import record_cutover
from tests.support.digest import table_digest
from tests.support.postgres import PostgresServer


def test_what_was_loaded_is_equal(pair: Pair) -> None:
    finished = reconcile(pair.store_database, POSTGRES, env=pair.env)
    tables = result(finished)["tables"]
    assert counts(finished) == [0, 0, 0, 0]
    ledger = tables["bo.ledger_entries"]
    assert ledger["source_rows"] == ledger["store_rows"] == 3 * PAYMENTS
    assert ledger["segments"] > 1 and ledger["differing_segments"] == 0


def test_each_class_is_found_with_its_keys(pair: Pair) -> None:
    pair.store.execute("DELETE FROM bo.ledger_entries WHERE tx_id = 'tx-7-PAYMENT'")
    pair.source.execute("DELETE FROM ledger WHERE tx_id = 'tx-8-PAYMENT'")
    pair.source.execute("UPDATE ledger SET version = 99, amount = 1 WHERE tx_id = 'tx-9-PAYMENT'")
    pair.store.execute("UPDATE bo.ledger_entries SET amount = amount + 0.01 WHERE tx_id = 'tx-10-RECEIVE'")
    pair.store.execute("UPDATE bo.payment_orders SET merchant_name = NULL WHERE order_id = 'po-11'")
    finished = reconcile(pair.store_database, POSTGRES, env=pair.env)
    assert counts(finished) == [1, 1, 1, 2]
    assert found(finished) == {"missing": {"tx-7-PAYMENT"}, "extra": {"tx-8-PAYMENT"}, "stale": {"tx-9-PAYMENT"},
                               "diverged": {"tx-10-RECEIVE", "po-11"}}
    [diverged] = [line for line in finished.lines if line.get("key") == "tx-10-RECEIVE"]
    assert diverged["columns"] == ["amount"]
    tables = result(finished)["tables"]
    assert tables["bo.ledger_entries"]["differing_segments"] <= 4


@pytest.mark.parametrize("stamp", [T - timedelta(milliseconds=500), T + timedelta(minutes=10)])
def test_a_hole_at_t_is_found(pair: Pair, stamp: datetime) -> None:
    """A row that neither side of the cutover took: the backfill ended a second before T, or the source's clock runs
    ahead by more than Δ, so that a row published before the stream began was left to it."""
    pair.source.execute("UPDATE ledger SET created_at = %s WHERE tx_id = 'tx-5-TOPUP'", (stamp,))
    pair.store.execute("DELETE FROM bo.ledger_entries WHERE tx_id = 'tx-5-TOPUP'")
    applied_up_to(pair, T + timedelta(hours=1))
    assert found(reconcile(pair.store_database, POSTGRES, env=pair.env)) == {"missing": {"tx-5-TOPUP"}}


def applied_up_to(pair: Pair, at: object) -> None:
    pair.store.execute(
        "INSERT INTO bo.stream_progress (consumer_group, topic, partition, applied_offset, end_offset, caught_up_at) "
        "VALUES ('g', 't', 0, 1, 1, %s)", (at,))


def test_records_in_flight_are_no_difference_until_the_stream_has_applied_them(pair: Pair) -> None:
    late = T + timedelta(minutes=30)
    applied_up_to(pair, T + timedelta(minutes=20))
    pair.source.execute("UPDATE ledger SET updated_at = %s, version = 50 WHERE tx_id = 'tx-1-PAYMENT'", (late,))
    pair.source.execute("INSERT INTO ledger (tx_id, type, amount, wallet_id, created_at) "
                        "VALUES ('tx-new', 'CHARGE', 1, 'w', %s)", (late,))
    # The store may be ahead of the moment at which the source was read, too.
    pair.store.execute("UPDATE bo.ledger_entries SET updated_at = %s, src = 'stream' WHERE tx_id = 'tx-2-PAYMENT'",
                       (late,))
    finished = reconcile(pair.store_database, POSTGRES, env=pair.env)
    assert counts(finished) == [0, 0, 0, 0]
    assert counts(finished, ["in_flight"]) == [2]
    pair.store.execute("UPDATE bo.stream_progress SET caught_up_at = %s", (late + timedelta(hours=1),))
    finished = reconcile(pair.store_database, POSTGRES, env=pair.env)
    assert found(finished) == {"missing": {"tx-new"}, "stale": {"tx-1-PAYMENT"}}


def test_what_the_stream_adds_is_extra_for_a_live_source_alone(pair: Pair) -> None:
    applied_up_to(pair, T + timedelta(hours=1))
    pair.store.execute("INSERT INTO bo.ledger_entries (tx_id, wallet_id, entry_type, amount, event_time, src) "
                       "VALUES ('tx-streamed', 'w', 'CHARGE', 1, '2026-05-01Z', 'stream')")
    pair.store.execute("UPDATE bo.ledger_entries SET version = 98, src = 'stream' WHERE tx_id = 'tx-3-PAYMENT'")
    finished = reconcile(pair.store_database, POSTGRES, env=pair.env)
    assert counts(finished) == [0, 0, 0, 0]
    assert counts(finished, ["streamed"]) == [2]
    live = reconcile(pair.store_database, POSTGRES, env=pair.env, source_is_live=True)
    assert found(live) == {"extra": {"tx-streamed"}, "diverged": {"tx-3-PAYMENT"}}


def test_rows_that_the_contract_refuses_are_counted_and_no_difference(pair: Pair) -> None:
    pair.source.execute("INSERT INTO ledger (tx_id, type, amount, wallet_id, created_at) VALUES "
                        "('tx-third-decimal', 'CHARGE', 1.005, 'w', '2026-01-01Z'), ('tx-no-wallet', 'CHARGE', 1, '', "
                        "'2026-01-01Z'), ('tx-no-time', 'CHARGE', 1, 'w', NULL), ('tx-ever', 'CHARGE', 1, 'w', "
                        "'infinity')")
    pair.source.execute("INSERT INTO orders (order_id, amount, status, created_at) VALUES "
                        "('po-words', 'ten', 'SETTLED', '2026-01-01Z')")
    finished = reconcile(pair.store_database, POSTGRES, env=pair.env)
    assert counts(finished) == [0, 0, 0, 0]
    assert counts(finished, ["refused"]) == [5]


def test_a_repair_mends_the_missing_and_the_stale_and_nothing_else(pair: Pair) -> None:
    whole = table_digest(pair.store)
    pair.store.execute("DELETE FROM bo.ledger_entries WHERE tx_id LIKE 'tx-1%'")
    pair.store.execute("DELETE FROM bo.payment_orders WHERE order_id = 'po-7'")
    # Older than the source's by its version.
    pair.store.execute("UPDATE bo.ledger_entries SET version = -1, amount = 0 WHERE tx_id = 'tx-21-PAYMENT'")
    shown = result(reconcile(pair.store_database, POSTGRES, env=pair.env, samples=0))
    stale = reconcile(pair.store_database, POSTGRES, env=pair.env, repair="0" * 64)
    assert (stale.code, stale.last["code"]) == (1, "stale-plan")
    assert result(reconcile(pair.store_database, POSTGRES, env=pair.env))["digest"] == shown["digest"]
    mended = result(reconcile(pair.store_database, POSTGRES, env=pair.env, repair=shown["digest"]))
    assert sum(mended["repaired"].values()) == shown["differences"]
    assert counts(reconcile(pair.store_database, POSTGRES, env=pair.env)) == [0, 0, 0, 0]
    assert table_digest(pair.store) == whole


def test_a_repair_removes_nothing(pair: Pair) -> None:
    pair.source.execute("DELETE FROM ledger WHERE tx_id = 'tx-8-PAYMENT'")
    pair.store.execute("UPDATE bo.ledger_entries SET amount = 0 WHERE tx_id = 'tx-10-RECEIVE'")
    shown = result(reconcile(pair.store_database, POSTGRES, env=pair.env))
    mended = result(reconcile(pair.store_database, POSTGRES, env=pair.env, repair=shown["digest"]))
    assert sum(mended["repaired"].values()) == 0
    assert counts(reconcile(pair.store_database, POSTGRES, env=pair.env)) == [0, 1, 0, 1]


@pytest.mark.parametrize("few", [50, 100_000])
def test_what_differs_is_split_until_it_is_little(pair: Pair, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    """Split or not, in whichever pieces a table is read: each row that differs is told once."""
    monkeypatch.setattr(compare, "_FEW_ROWS", few)
    monkeypatch.setattr(compare, "_BLOCKS", 3)
    pair.store.execute("DELETE FROM bo.ledger_entries WHERE hashtext(tx_id) % 50 = 0")
    pair.store.execute("UPDATE bo.ledger_entries SET amount = 1.11 WHERE hashtext(tx_id) % 50 = 1")
    rows = pair.source.execute("SELECT tx_id FROM ledger WHERE hashtext(tx_id) % 50 IN (0, 1)").fetchall()
    reader = PostgresSource(spec_of(orders_table="orders", ledger_table="ledger"),
                            postgres_settings(pair.env, "SOURCE_"))
    with closing(reader), psycopg.connect(pair.store_database.conninfo("bo_consumer")) as conn:
        [side] = [s for s in database_sides(reader) if s.entity is LEDGER]
        read: list[int] = []
        comparison = Comparison(side, store_side(conn, LEDGER), T, False, read.append)
        told = [difference.key for difference in comparison.differences()]
    assert told == sorted(key for (key,) in rows)
    assert comparison.books.missing + comparison.books.diverged == len(rows) > 100
    scans = sum(read) / (comparison.books.source_rows + comparison.books.store_rows)
    assert (scans > 1) == (few == 50), "split only where that is worth another pass"
    assert len(read) > 10


def test_the_hash_of_an_older_server_is_the_stores_own(pair: Pair) -> None:
    """What PostgreSQL 12 and 13 have to compute is computed here beside what the store keeps."""
    for entity, table, kinds in (
        ("bo.ledger_entries", "ledger", {"tx_id": "text", "type": "kind", "wallet_id": "character varying(80)",
         "amount": "numeric(20,4)", "created_at": "timestamp with time zone", "version": "integer",
         "updated_at": "timestamp with time zone", "related_id": "text", "related_type": "character(13)"}),
        ("bo.payment_orders", "orders", {"order_id": "character varying(64)", "user_id": "bigint", "status": "text",
         "merchant_name": "text", "amount": "text", "created_at": "timestamp with time zone",
         "updated_at": "timestamp with time zone", "source_version": "numeric"}),
    ):  # fmt: skip
        [one] = [e for e in ENTITIES if e.table == entity]
        old = canonical(one, kinds, 120_000)
        query = sql.SQL("SELECT sum({}) FROM (SELECT {} FROM {}) c").format(
            old.hash(), old.columns, sql.Identifier(table))
        [(theirs,)] = pair.source.execute(query).fetchall()
        kept = sql.SQL("SELECT sum(row_hash) FROM {}").format(sql.SQL(entity))
        [(ours,)] = pair.store.execute(kept).fetchall()
        assert int(theirs) % 2**64 == int(ours) % 2**64


@pytest.mark.parametrize("faults", [{}, {"duplicates": 0.2, "out_of_order": 0.2, "late": 0.1, "broken": 0.01}])
def test_a_source_without_a_database(pair: Pair, faults: dict[str, float]) -> None:
    made = {"kind": "synthetic", "rows": 6_000, "seed": 3, **faults}
    pair.store.execute("TRUNCATE bo.ledger_entries, bo.payment_orders")
    done(pair.store_database, {**made, "cutover_id": record_cutover(pair.store, 2), "spec_digest": "s"})
    far = {"t_cutover": "2100-01-01T00:00:00Z"}
    equal = reconcile(pair.store_database, made, **far)
    assert counts(equal) == [0, 0, 0, 0]
    [(key,)] = pair.store.execute("DELETE FROM bo.ledger_entries WHERE tx_id = (SELECT min(tx_id) FROM "
                                  "bo.ledger_entries) RETURNING tx_id").fetchall()
    shown = reconcile(pair.store_database, made, **far)
    assert found(shown) == {"missing": {key}}
    mended = reconcile(pair.store_database, made, **far, repair=result(shown)["digest"])
    assert result(mended)["repaired"]["bo.ledger_entries"] == 1
    assert counts(reconcile(pair.store_database, made, **far)) == [0, 0, 0, 0]


OTHERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.mark.skipif(not OTHERS, reason="no other version of PostgreSQL is installed here")
def test_a_source_of_another_version(pair: Pair) -> None:
    with PostgresServer.started(binaries=OTHERS[0]) as other:
        database = source_database(other)
        with psycopg.connect(database.conninfo(), autocommit=True) as source:
            fill(source, PAYMENTS)
            pair.store.execute("DELETE FROM bo.ledger_entries WHERE tx_id = 'tx-7-PAYMENT'")
            finished = reconcile(pair.store_database, POSTGRES, env=as_source(database))
            assert found(finished) == {"missing": {"tx-7-PAYMENT"}}
            assert source.info.server_version != pair.store.info.server_version


def test_sigterm_ends_it_and_leaves_nothing(pair: Pair) -> None:
    pair.store.execute("BEGIN; LOCK TABLE bo.ledger_entries IN ACCESS EXCLUSIVE MODE")
    try:
        process = jobs.start("reconcile", pair.store_database.environment("bo_consumer") | pair.env, "RECONCILE_SPEC",
                             spec(POSTGRES))
        waits = ("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'txplan-reconcile' "
                 "AND wait_event_type = 'Lock'")
        while not pair.source.execute(waits.encode()).fetchall()[0][0]:
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert jobs.finish(process).code == 143
    finally:
        pair.store.execute("ROLLBACK")
