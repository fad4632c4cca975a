"""The backfill job as a process: each source ends in the same tables, broken rows are kept with their place, and
what cannot be run is told by its code.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from psycopg.rows import TupleRow

from streamapp import columns, synthetic
from streamapp.backfill.files import FileSource
from streamapp.backfill.spec import Files
from streamapp.contract import PaymentOrder, Record, encode
from streamapp.entities import LEDGER, ORDERS
from tests.support import jobs
from tests.support.backfills import backfill, done
from tests.support.cutovers import record_cutover
from tests.support.digest import table_digest
from tests.support.postgres import Database

Owner = psycopg.Connection[TupleRow]
PAYMENTS = 40
SYNTHETIC = {"kind": "synthetic", "rows": 30, "spec_digest": "d"}


def rows_of(payments: int = PAYMENTS, seed: int = 1) -> dict[str, list[Record]]:
    rng = random.Random(seed)
    rows = [row for number in range(payments) for row in synthetic.payment_of(number, rng)]
    return {
        "orders": [row for row in rows if isinstance(row, PaymentOrder)],
        "ledger": [row for row in rows if not isinstance(row, PaymentOrder)],
    }


def tables_of(rows: dict[str, list[Record]]) -> dict[str, pa.Table]:
    return {
        name: columns.from_records(entity, list(enumerate(rows[name]))).drop_columns(["src_partition", "src_offset"])
        for name, entity in (("orders", ORDERS), ("ledger", LEDGER))
    }


def write_parquet(folder: Path) -> None:
    for name, table in tables_of(rows_of()).items():
        pq.write_table(table, folder / f"{name}.parquet", row_group_size=17)


def write_jsonl(folder: Path) -> None:
    for name, rows in rows_of().items():
        (folder / f"{name}.jsonl").write_bytes(b"\n".join(encode(row) for row in rows))


def write_csv(folder: Path) -> None:
    for name, rows in rows_of().items():
        items = [json.loads(encode(row)) for row in rows]
        texts = {key: [None if i.get(key) is None else str(i[key]) for i in items] for key in rows[0]._fields}
        pa_csv.write_csv(pa.table(texts), folder / f"{name}.csv")


def spec(folder: Path, suffix: str, cutover: int, digest: str = "d", **more: Any) -> dict[str, Any]:
    return {
        "kind": "files", "orders": str(folder / f"orders*{suffix}"), "ledger": str(folder / f"ledger*{suffix}"),
        "cutover_id": cutover, "spec_digest": digest, "chunk_rows": 15, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("suffix", "write"), [(".parquet", write_parquet), (".jsonl", write_jsonl), (".csv", write_csv)]
)
def test_each_format_ends_in_the_same_tables(
    database: Database, owner: Owner, tmp_path: Path, suffix: str, write: Any
) -> None:
    cutover = record_cutover(owner)
    expected = done(
        database, {"kind": "synthetic", "rows": 3 * PAYMENTS, "seed": 1, "cutover_id": cutover, "spec_digest": "s"}
    )
    assert (expected["read"], expected["applied"]) == (3 * PAYMENTS, 3 * PAYMENTS)
    owner.execute("TRUNCATE bo.ledger_entries, bo.payment_orders")
    write_parquet(tmp_path)
    done(database, spec(tmp_path, ".parquet", cutover, "p"))
    digest = table_digest(owner)
    owner.execute("TRUNCATE bo.ledger_entries, bo.payment_orders")
    write(tmp_path)
    result = done(database, spec(tmp_path, suffix, cutover))
    assert (result["applied"], result["dlq"], result["parts"]) == (3 * PAYMENTS, 0, 2)
    assert table_digest(owner) == digest
    assert owner.execute("SELECT DISTINCT src FROM bo.ledger_entries").fetchall() == [("backfill",)]


def test_a_done_run_is_not_run_again(database: Database, owner: Owner, tmp_path: Path) -> None:
    cutover = record_cutover(owner)
    write_parquet(tmp_path)
    first = done(database, spec(tmp_path, ".parquet", cutover))
    again = done(database, spec(tmp_path, ".parquet", cutover))
    assert (first["already_done"], again["already_done"]) == (False, True)
    assert {k: v for k, v in first.items() if k in ("read", "applied")} == {
        k: v for k, v in again.items() if k in ("read", "applied")
    }
    runs = owner.execute("SELECT state, rows_read, rows_applied, rows_dlq FROM bo.backfill_runs").fetchall()
    assert runs == [("done", 3 * PAYMENTS, 3 * PAYMENTS, 0)]


def test_rows_at_or_after_t_are_left_to_the_stream(database: Database, owner: Owner, tmp_path: Path) -> None:
    cutover = record_cutover(owner)
    rows = rows_of()
    limit = rows["ledger"][20].updated_at
    assert limit is not None
    write_parquet(tmp_path)
    write_jsonl(tmp_path)
    results = []
    for suffix in (".parquet", ".jsonl"):
        owner.execute("TRUNCATE bo.ledger_entries, bo.payment_orders")
        results.append(done(database, spec(tmp_path, suffix, cutover, suffix, before=limit.isoformat())))
        newest = owner.execute("SELECT max(event_time) < %s FROM bo.ledger_entries", (limit,)).fetchone()
        assert newest == (True,)
        assert table_digest(owner)["bo.ledger_entries"][0] == 20
    assert results[0]["left"] == results[1]["left"] == 3 * PAYMENTS - 20 - 10


def test_stamps_from_the_future_are_left_to_nobody(database: Database, owner: Owner, tmp_path: Path) -> None:
    """A row that is stamped in the future of its reading was published when nobody can say: the backfill loads it."""
    cutover = record_cutover(owner)
    rows = rows_of()
    stamps = sorted(row.event_time for row in rows["ledger"])
    write_parquet(tmp_path)
    write_jsonl(tmp_path)
    found = []
    for suffix in (".parquet", ".jsonl"):
        owner.execute("TRUNCATE bo.ledger_entries, bo.payment_orders")
        limits = {"before": stamps[20].isoformat(), "future": stamps[60].isoformat()}
        done(database, spec(tmp_path, suffix, cutover, f"f{suffix}", **limits))
        found.append(owner.execute("SELECT event_time FROM bo.ledger_entries ORDER BY 1").fetchall())
    assert found[0] == found[1]
    assert [at for (at,) in found[0]] == [at for at in stamps if not stamps[20] <= at < stamps[60]]


def test_a_run_keeps_its_total_its_pace_and_its_newest_row(database: Database, owner: Owner, tmp_path: Path) -> None:
    cutover = record_cutover(owner)
    write_parquet(tmp_path)
    done(database, spec(tmp_path, ".parquet", cutover, "d"))
    newest = max(row.event_time for row in rows_of()["ledger"])
    assert owner.execute("SELECT rows_total FROM bo.backfill_runs").fetchone() == (3 * PAYMENTS,)
    assert owner.execute("SELECT max(last_time) FROM bo.backfill_checkpoints WHERE part = 'ledger.parquet'"
                         ).fetchone() == (newest,)
    done(database, {**SYNTHETIC, "rows": 200_000, "cutover_id": cutover, "spec_digest": "many"})
    pace = owner.execute("SELECT rows_per_s FROM bo.backfill_runs WHERE spec_digest = 'many'").fetchone()
    assert pace is not None and pace[0] > 0


def test_broken_rows_are_kept_with_file_and_number(database: Database, owner: Owner, tmp_path: Path) -> None:
    cutover = record_cutover(owner)
    good = [encode(row) for row in rows_of(3)["orders"]]
    lines = [good[0], b"{broken", good[1], b"", b'{"order_id":"x"}', good[2]]
    (tmp_path / "orders.jsonl").write_bytes(b"\n".join(lines))
    table = tables_of(rows_of(4))["orders"]
    statuses = ["SETTLED", None, "SETTLED", ""]
    bad = table.set_column(table.column_names.index("status"), "status", pa.array(statuses))
    pq.write_table(bad, tmp_path / "orders.parquet")
    (tmp_path / "orders.csv").write_text(
        "order_id,amount,status,created_at\n"
        "c1,1.00,SETTLED,2026-01-01T00:00:00Z\nc2,1.005,SETTLED,2026-01-01T00:00:00Z\nc3,1\n"
        '"c\n4",1.00,SETTLED,2026-01-01T00:00:00Z\nc5,1,SETTLED,2026-01-01T00:00:00Z,more\n'
    )
    what = spec(tmp_path, "", cutover, ledger=None, chunk_rows=2)
    result = done(database, what)
    assert (result["applied"], result["dlq"]) == (3 + 2, 2 + 2 + 3)
    rows = owner.execute(
        'SELECT topic, partition, "offset", error_class FROM bo.consumer_dlq_events ORDER BY 1, 3'
    ).fetchall()
    assert rows == [
        ("file:orders.csv", 0, 3, "bad_amount"),
        ("file:orders.csv", 0, 4, "bad_row"),
        ("file:orders.csv", 0, 6, "bad_row"),
        ("file:orders.jsonl", 0, 2, "not_json"),
        ("file:orders.jsonl", 0, 5, "missing_field"),
        ("file:orders.parquet", 0, 2, "missing_field"),
        ("file:orders.parquet", 0, 4, "missing_field"),
    ]
    payload = owner.execute(
        "SELECT payload FROM bo.consumer_dlq_events WHERE topic = 'file:orders.jsonl' ORDER BY \"offset\""
    ).fetchone()
    assert payload == (b"{broken",)


def test_numbers_of_csv_rows_hold_over_many_blocks(tmp_path: Path) -> None:
    bad = {7, 60_000, 60_001, 119_999, 150_001}
    with (tmp_path / "orders.csv").open("w") as file:
        file.write("order_id,amount,status,created_at\n")
        for number in range(2, 150_002):
            file.write(f"{number},1" + ("\n" if number in bad else ".00,SETTLED,2026-01-01T00:00:00.000000Z\n"))
    source = FileSource(Files(orders=str(tmp_path / "orders.csv"), chunk_rows=10_000))
    [part] = source.parts()
    blocks = list(source.blocks(part, "", 0))
    for block in blocks:
        if block.table is not None:
            assert block.table["order_id"].to_pylist() == [str(number) for number in block.numbers]
    assert {letter.offset for block in blocks for letter in block.broken} == bad
    assert sum(block.rows for block in blocks) == 150_000
    middle = blocks[len(blocks) // 2]
    rest = list(source.blocks(part, middle.position, 0))
    assert [block.position for block in rest] == [b.position for b in blocks[len(blocks) // 2 + 1 :]]


@pytest.mark.parametrize("position", range(2, 42))
def test_a_csv_goes_on_within_a_block_of_another_size(tmp_path: Path, position: int) -> None:
    with (tmp_path / "orders.csv").open("w") as file:
        file.write("order_id,amount\n")
        for number in range(2, 42):
            file.write(f"{number},1\n" if number % 5 else f"{number}\n")
    source = FileSource(Files(orders=str(tmp_path / "orders.csv"), chunk_rows=7))
    [part] = source.parts()
    places = []
    for block in source.blocks(part, str(position), 0):
        named = [] if block.table is None else block.table["order_id"].to_pylist()
        assert named == [str(number) for number in block.numbers]
        found = sorted([*block.numbers, *(letter.offset for letter in block.broken)])
        assert len(found) == block.rows
        places += found
    assert places == list(range(position + 1, 42))


def write_source(conn: Owner) -> None:
    """A source's tables: their own column types, an alias, one row that the contract refuses."""
    conn.execute(
        "CREATE SCHEMA shop; CREATE TABLE shop.orders (order_id text PRIMARY KEY, user_id text, merchant_name text, "
        "amount numeric(20,4), status varchar(20), created_at timestamptz, updated_at timestamptz, "
        "source_version int, note text); "
        "CREATE TABLE shop.ledger (tx_id text PRIMARY KEY, wallet_id text, type text, amount numeric(18,2), "
        "amount_signed numeric(18,2), related_id text, related_type text, event_time timestamptz, "
        "created_at timestamptz, updated_at timestamptz, version bigint)"
    )
    rows = rows_of()
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO shop.orders VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'x')", [tuple(r) for r in rows["orders"]]
        )
        cursor.executemany(
            "INSERT INTO shop.ledger VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [tuple(r) for r in rows["ledger"]],
        )


def test_a_source_whose_clock_is_off(database: Database, owner: Owner) -> None:
    cutover = record_cutover(owner)
    with psycopg.connect(database.conninfo(), autocommit=True) as source:
        source.execute("CREATE SCHEMA slow; CREATE FUNCTION slow.clock_timestamp() RETURNS timestamptz "
                       "RETURN pg_catalog.clock_timestamp() - '1 hour'::interval")
        source.execute("CREATE TABLE slow.orders (order_id text PRIMARY KEY)")
        source.execute(f"ALTER ROLE postgres IN DATABASE {database.name} SET search_path = slow, pg_catalog")
    address = {f"SOURCE_{name}": value for name, value in database.environment("postgres").items()}
    what = {"kind": "postgres", "orders_table": "slow.orders", "cutover_id": cutover, "spec_digest": "skewed"}
    try:
        for ahead_of_us, code in ((0.0, 1), (-3600.0, 0)):
            # Where the broker's clock is as slow as the source's, the two agree.
            ended = backfill(database, {**what, "max_skew_s": 300, "broker_ahead_s": ahead_of_us}, **address)
            assert ended.code == code, ended.lines
            assert (ended.last.get("code") == "clock-skew") is (code == 1)
            [told] = [e for e in ended.lines if e["event"] == "snapshot"] or [{"ahead_s": -3600}]
            assert abs(told["ahead_s"] + 3600) < 60
    finally:
        with psycopg.connect(database.conninfo(), autocommit=True) as source:
            source.execute(f"ALTER ROLE postgres IN DATABASE {database.name} RESET search_path")
            source.execute("DROP SCHEMA slow CASCADE")


def test_a_database_as_source(database: Database, owner: Owner, tmp_path: Path) -> None:
    cutover = record_cutover(owner)
    write_parquet(tmp_path)
    done(database, spec(tmp_path, ".parquet", cutover, "p"))
    expected = table_digest(owner)
    owner.execute("TRUNCATE bo.ledger_entries, bo.payment_orders")
    with psycopg.connect(database.conninfo(), autocommit=True) as source:
        write_source(source)
        source.execute("INSERT INTO shop.orders VALUES ('zz', null, null, 1.005, 'PAID', now(), null, 1)")
        source.execute("ALTER DATABASE " + database.name + " SET DateStyle = 'German'")
    address = {f"SOURCE_{name}": value for name, value in database.environment("postgres").items()}
    what = {
        "kind": "postgres", "orders_table": "shop.orders", "ledger_table": "shop.ledger", "chunk_rows": 7,
        "cutover_id": cutover, "spec_digest": "d",
    }  # fmt: skip
    try:
        result = done(database, what, **address)
        assert (result["applied"], result["dlq"]) == (3 * PAYMENTS, 1)
        assert table_digest(owner) == expected
        kept = owner.execute('SELECT topic, "offset", error_class FROM bo.consumer_dlq_events').fetchall()
        assert kept == [("table:shop.orders", PAYMENTS + 1, "bad_amount")]
    finally:
        with psycopg.connect(database.conninfo(), autocommit=True) as source:
            source.execute("DROP SCHEMA shop CASCADE")
            source.execute("ALTER DATABASE " + database.name + " RESET DateStyle")


def test_files_that_changed_are_refused(database: Database, owner: Owner, tmp_path: Path) -> None:
    cutover = record_cutover(owner)
    write_jsonl(tmp_path)
    what = spec(tmp_path, ".jsonl", cutover)
    done(database, what)
    owner.execute("UPDATE bo.backfill_runs SET state = 'running'")
    with (tmp_path / "orders.jsonl").open("ab") as file:
        file.write(b"\n")
    assert error_code(backfill(database, what)) == "source-changed"


def error_code(finished: jobs.Finished) -> str:
    assert finished.code == 1, finished.lines
    assert finished.last["event"] == "error"
    code: str = finished.last["code"]
    return code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kind": "magic"}, "bad-spec"),
        ({"surplus": 1}, "bad-spec"),
        ({"cutover_id": None}, "bad-spec"),
        ({"before": "2026-01-01T00:00:00"}, "bad-spec"),
        ({"orders": "/nowhere/*.parquet"}, "source-empty"),
        ({"orders": None, "ledger": None}, "source-empty"),
        ({"orders": "{folder}/strange.xml"}, "source-format"),
        ({"orders": "{folder}/no.parquet"}, "source-unreadable"),
        ({"orders": "{folder}/**/same.jsonl", "ledger": None}, "source-names"),
        ({"cutover_id": 999_999}, "database"),
    ],
)
def test_what_cannot_be_run_is_told_by_code(
    database: Database, owner: Owner, tmp_path: Path, change: dict[str, Any], code: str
) -> None:
    write_jsonl(tmp_path)
    (tmp_path / "strange.xml").write_text("<a/>")
    (tmp_path / "no.parquet").write_text("not parquet")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.jsonl").write_text("{}")
    what = spec(tmp_path, ".jsonl", record_cutover(owner)) | {
        key: value.replace("{folder}", str(tmp_path)) if isinstance(value, str) else value
        for key, value in change.items()
    }
    assert error_code(backfill(database, what)) == code


def test_missing_settings_are_named_together(database: Database) -> None:
    env = dict.fromkeys(database.environment("bo_consumer"), "")
    finished = jobs.run("backfill", env, "BACKFILL_SPEC", SYNTHETIC | {"cutover_id": 1})
    assert error_code(finished) == "settings"
    assert all(name in finished.last["detail"] for name in ("PGHOST", "PGDATABASE", "PGUSER", "PGPASSWORD"))


def test_a_wrong_password_is_told_without_it(database: Database) -> None:
    env = database.environment("bo_consumer") | {"PGPASSWORD": "not-the-password"}
    finished = jobs.run("backfill", env, "BACKFILL_SPEC", SYNTHETIC | {"cutover_id": 1})
    assert error_code(finished) == "database"
    assert "not-the-password" not in json.dumps(finished.lines) + finished.log


def test_a_time_in_the_far_past_is_loaded(database: Database, owner: Owner, tmp_path: Path) -> None:
    first = datetime(1, 1, 1, tzinfo=UTC)
    order = PaymentOrder("o", None, None, rows_of(1)["orders"][0].amount, "PAID", first, first + timedelta(0), 0)
    (tmp_path / "orders.jsonl").write_bytes(encode(order))
    done(database, spec(tmp_path, ".jsonl", record_cutover(owner), ledger=None))
    assert owner.execute("SELECT created_at FROM bo.payment_orders").fetchone() == (first,)
