"""Files to committed rows: the backfill job against the bare physical limit, the same rows, the same tables.

Run: `python -m tests.bench.bench_backfill [rows …]` (default 500000; the memory's growth shows with more than one
size). The bare side is one transaction a table: psycopg sends rows that PostgreSQL itself wrote as binary COPY
data into a temporary table, then one INSERT … SELECT … ON CONFLICT. It reads no file, checks nothing, keeps no
checkpoint. The job is measured from its process's start to its end. Both begin with empty tables, in turn.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
from psycopg.rows import TupleRow
from rich.console import Console
from rich.table import Table

from streamapp import columns, synthetic
from streamapp.contract import PaymentOrder
from streamapp.entities import ENTITIES, ORDERS, Entity
from tests.support.cutovers import record_cutover
from tests.support.postgres import Database, PostgresServer

Connection = psycopg.Connection[TupleRow]


def write_files(folder: Path, rows: int) -> None:
    """Synthetic payments as two Parquet files, as any other source would write them."""
    writers: dict[str, pq.ParquetWriter] = {}
    number = 0
    for block in synthetic.blocks(rows, 1, synthetic.Faults()):
        for entity in ENTITIES:
            records = [
                (number + i, record)
                for i, record in enumerate(block)
                if not isinstance(record, bytes) and isinstance(record, PaymentOrder) == (entity is ORDERS)
            ]
            table = columns.from_records(entity, records).drop_columns(["src_partition", "src_offset"])
            if entity.stage not in writers:
                writers[entity.stage] = pq.ParquetWriter(folder / f"{entity.stage}.parquet", table.schema)
            writers[entity.stage].write_table(table)
        number += len(block)
    for writer in writers.values():
        writer.close()


def job(database: Database, folder: Path, cutover: int, digest: str) -> dict[str, int]:
    spec = {
        "kind": "files", "orders": str(folder / "stage_orders.parquet"),
        "ledger": str(folder / "stage_ledger.parquet"), "cutover_id": cutover, "spec_digest": digest,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "streamapp", "backfill"],
        env={**os.environ, **database.environment("bo_consumer"), "BACKFILL_SPEC": json.dumps(spec)},
        capture_output=True, check=True,
    )  # fmt: skip
    result: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return result


def dump(conn: Connection, entity: Entity, path: Path) -> None:
    columns_sql = f"{entity.names}, src_partition, src_offset"
    query = f"COPY {entity.table} ({columns_sql}) TO STDOUT (FORMAT BINARY)"
    with path.open("wb") as file, conn.cursor() as cursor, cursor.copy(query.encode()) as copy:
        for data in copy:
            file.write(data)


def bare(conn: Connection, entity: Entity, path: Path) -> None:
    """The limit: COPY into a staging table, then one upsert that compares versions."""
    typed = ", ".join(f"{name} {kind}" for name, kind in entity.columns.items())
    assign = ", ".join(f"{name} = EXCLUDED.{name}" for name in entity.columns if name != entity.key)
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMPORARY TABLE bare ({typed}, src_partition int4, src_offset int8) ON COMMIT DROP".encode()
        )
        with cursor.copy(b"COPY bare FROM STDIN (FORMAT BINARY)") as copy, path.open("rb") as file:
            while data := file.read(1 << 18):
                copy.write(data)
        cursor.execute(
            f"INSERT INTO {entity.table} AS t ({entity.names}, src, src_partition, src_offset) "  # noqa: S608
            f"SELECT {entity.names}, 'backfill', src_partition, src_offset FROM bare "
            f"ON CONFLICT ({entity.key}) DO UPDATE SET {assign} WHERE EXCLUDED.version > t.version".encode()
        )


def bare_all(conn: Connection, dumps: list[tuple[Entity, Path]]) -> None:
    for entity, path in dumps:
        bare(conn, entity, path)


def empty(conn: Connection) -> None:
    conn.execute("TRUNCATE bo.ledger_entries, bo.payment_orders")
    conn.execute("CHECKPOINT")


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(database: Database, conn: Connection, rows: int, folder: Path) -> list[str]:
    cutover = record_cutover(conn)
    write_files(folder, rows)
    # The first run is not counted: it makes the rows that the bare side then sends.
    result = job(database, folder, cutover, "warm")
    dumps = [(entity, folder / f"{entity.stage}.copy") for entity in ENTITIES]
    for entity, path in dumps:
        dump(conn, entity, path)
    ours, limit = [], []
    for turn in range(2):
        empty(conn)
        limit.append(timed(lambda: bare_all(conn, dumps)))
        empty(conn)
        ours.append(timed(lambda turn=turn: job(database, folder, cutover, f"turn-{turn}")))  # type: ignore[misc]
    grown = result["peak_mib"] - result["start_mib"]
    return [
        f"{rows:,}", f"{rows / min(limit):,.0f}", f"{rows / min(ours):,.0f}",
        f"{min(limit) / min(ours):.2f}", f"{grown} MiB",
    ]  # fmt: skip


def main(sizes: list[int]) -> None:
    table = Table("rows", "bare rows/s", "backfill rows/s", "ratio (wanted ≥ 0.50)", "memory grown (< 400 MiB)")
    with PostgresServer.started(durable=True) as server:
        for rows in sizes:
            database = server.database()
            with (
                tempfile.TemporaryDirectory(prefix="txplan-bench-") as folder,
                psycopg.connect(database.conninfo(), autocommit=True) as conn,
            ):
                table.add_row(*measure(database, conn, rows, Path(folder)))
    Console().print(table)


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [500_000])
