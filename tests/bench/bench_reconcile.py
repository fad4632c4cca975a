"""Source against store, all rows equal: the reconcile job against a bare count and sum of hashes on both sides.

Run: `python -m tests.bench.bench_reconcile [rows …]` (default 5000000 ledger rows; that memory stays flat shows with
more than one size). Beside it stands `SELECT count(*), sum(hash)` over the same rows, first in the source, then in the
store, by the same expression, and, where it can be installed, `reladiff`, which does the same job with hashes of its
own. All in turn, on one server; the job is measured from its process's start to its end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow
from rich.console import Console
from rich.table import Table

from streamapp.entities import LEDGER
from streamapp.reconcile.canonical import canonical
from tests.support.postgres import Database, PostgresServer

Connection = psycopg.Connection[TupleRow]
WANTED = 1 / 3
SOURCE = {"kind": "postgres", "ledger_table": "ledger"}
SPEC = {"source": SOURCE, "t_cutover": "2026-06-01T00:00:00Z", "skew_s": 300, "group": "none"}
# Nine columns of the kinds that such a source has; the rest of the store's are derived.
FILL = """
CREATE TABLE ledger AS
SELECT 'tx-' || lpad(n::text, 9, '0') AS tx_id, 'w-' || n %% 500000 AS wallet_id,
       (ARRAY['PAYMENT', 'RECEIVE'])[1 + n %% 2] AS entry_type, (n %% 100000)::numeric(18,2) / 100 AS amount,
       'po-' || n / 2 AS related_id, 'PAYMENT_ORDER'::text AS related_type,
       '2026-01-01Z'::timestamptz + n * interval '1 second' AS event_time, NULL::timestamptz AS updated_at,
       (n %% 4)::bigint AS version
FROM generate_series(1, %s) n"""


def fill(source: Connection, store: Connection, rows: int) -> None:
    """The source by itself, the store by the values that a backfill of it writes."""
    source.execute(FILL.encode(), (rows,))
    source.execute("ALTER TABLE ledger ADD PRIMARY KEY (tx_id)")
    names = "tx_id, wallet_id, entry_type, amount, amount_signed, related_id, related_type, event_time, version, src"
    taken = """COPY (SELECT tx_id, wallet_id, entry_type, amount,
                            CASE entry_type WHEN 'PAYMENT' THEN -amount ELSE amount END,
                            related_id, related_type, event_time, version, 'backfill'::text FROM ledger)
               TO STDOUT (FORMAT BINARY)"""
    given = f"COPY bo.ledger_entries ({names}) FROM STDIN (FORMAT BINARY)"
    with source.cursor().copy(taken.encode()) as out, store.cursor().copy(given.encode()) as copy:
        for data in out:
            copy.write(data)
    for conn in (source, store):
        conn.execute("VACUUM ANALYZE")
        conn.execute("CHECKPOINT")


def counted(conn: Connection, columns: sql.Composable, table: str, hashed: sql.Composable) -> None:
    conn.execute(sql.SQL("SELECT count(*), sum({}) FROM (SELECT {} FROM {}) t").format(
        hashed, columns, sql.SQL(table))).fetchone()


def plain(source: Connection, store: Connection) -> None:
    """The reference: both sides, one after the other."""
    kinds = dict(source.execute("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                                "WHERE attrelid = 'ledger'::regclass AND attnum > 0").fetchall())
    one = canonical(LEDGER, kinds, source.info.server_version)
    counted(source, one.columns, "ledger", one.hash())
    names = sql.SQL(", ").join(map(sql.Identifier, LEDGER.columns))
    counted(store, names, "bo.ledger_entries", one.hash())


def job(source: Database, store: Database) -> dict[str, float]:
    env = {f"SOURCE_{name}": value for name, value in source.environment().items()}
    done = subprocess.run(
        [sys.executable, "-m", "streamapp", "reconcile"], capture_output=True, check=True,
        env={**os.environ, **store.environment("bo_consumer"), **env, "RECONCILE_SPEC": json.dumps(SPEC)},
    )  # fmt: skip
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    assert result["differences"] == 0, result
    return result


def reladiff(folder: Path) -> Path | None:
    """Its command in an environment of its own, or None where it cannot be had."""
    venv.create(folder, with_pip=True)
    done = subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", "reladiff", "psycopg2-binary"],
                          capture_output=True, check=False)
    return folder / "bin" / "reladiff" if done.returncode == 0 else None


def beside(command: Path, source: Database, store: Database) -> None:
    """The same rows by the other tool: key, and the columns that both sides have."""
    def address(database: Database) -> str:
        env = database.environment()
        return f"postgresql://postgres:{env['PGPASSWORD']}@127.0.0.1:{env['PGPORT']}/{env['PGDATABASE']}"

    columns = [word for name in ("wallet_id", "entry_type", "amount", "related_id", "related_type", "event_time",
                                 "version") for word in ("-c", name)]
    done = subprocess.run([command, address(source), "ledger", address(store), "bo.ledger_entries", "-k", "tx_id",
                           *columns, "--stats"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "0.00% difference" in done.stdout, (done.stdout, done.stderr)


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(server: PostgresServer, rows: int, other: Path | None) -> list[str]:
    source_database, store_database = server.database(migrated=False), server.database()
    with (
        psycopg.connect(source_database.conninfo(), autocommit=True) as source,
        psycopg.connect(store_database.conninfo(), autocommit=True) as store,
    ):
        fill(source, store, rows)
        limit, ours, peak = [], [], 0.0
        for _ in range(3):
            limit.append(timed(lambda: plain(source, store)))
            began = time.perf_counter()
            peak = job(source_database, store_database)["peak_mib"]
            ours.append(time.perf_counter() - began)
        try:
            theirs = f"{timed(lambda: beside(other, source_database, store_database)):.1f} s" if other else "not there"
        except AssertionError as problem:
            theirs = f"failed: {str(problem)[-200:]}"
        for conn in (source, store):
            conn.execute("DROP TABLE IF EXISTS ledger")
    return [f"{rows:,}", f"{min(limit):.1f} s", f"{min(ours):.1f} s", f"{min(limit) / min(ours):.2f}",
            f"{2 * rows / min(ours):,.0f}", f"{peak:.0f} MiB", theirs]  # fmt: skip


def main(sizes: list[int]) -> None:
    table = Table("rows a side", "count and sum", "reconcile", f"ratio (wanted ≥ {WANTED:.2f})", "rows/s", "memory",
                  "reladiff")
    with tempfile.TemporaryDirectory(prefix="txplan-bench-") as folder, PostgresServer.started() as server:
        other = reladiff(Path(folder) / "venv")
        for rows in sizes:
            table.add_row(*measure(server, rows, other))
    Console().print(table)


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [5_000_000])
