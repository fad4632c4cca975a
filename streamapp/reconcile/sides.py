"""The two sides of a comparison as relations of one shape: the store's columns, with hash, stamp, valid and streamed.

Owns how each side is read: the store, a source table, and a source without a database, which is staged in a temporary
table of the environment's own. Must not compare. A side is one repeatable-read transaction, so one moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from streamapp.backfill.chunks import Chunk, Ownership, Part, SourceReader, chunk_of
from streamapp.backfill.postgres import PostgresSource
from streamapp.entities import ENTITIES, Entity
from streamapp.reconcile.canonical import Canonical, canonical
from streamapp.report import JobError

Connection = psycopg.Connection[TupleRow]
EVERYTHING: Final = sql.SQL("true")
_MODULUS: Final = 2**64
TID_SCAN: Final = 140_000
"""The server version from which a range of blocks is read without the rest of the table."""


@dataclass(frozen=True)
class Row:
    """One row of a side; `stamp` is its place in time, `values` its columns in the store's order."""

    hash: int
    stamp: Any
    version: int
    streamed: bool
    values: tuple[Any, ...]


@dataclass
class Side:
    """One entity on one side."""

    conn: Connection
    entity: Entity
    table: sql.Composable
    key_type: str
    columns: sql.Composable
    valid: sql.Composable
    hash: sql.Composable
    streamed: sql.Composable
    blocks: int
    rows: int
    refused: int = 0

    def relation(self, where: sql.Composable = EVERYTHING) -> sql.Composed:
        """The rows for which `where` holds in terms of the table's own columns."""
        names = sql.SQL(", ").join(map(sql.Identifier, self.entity.columns))
        stamp = sql.SQL("coalesce(updated_at, {})").format(sql.Identifier(self.entity.order_time))
        inner = sql.SQL("SELECT {}, {} AS valid, {} AS streamed{} FROM {} WHERE {}").format(
            self.columns, self.valid, self.streamed,
            sql.SQL(", row_hash") if self._kept else sql.SQL(""), self.table, where)  # fmt: skip
        return sql.SQL("(SELECT {}, {} AS hash, {} AS stamp, valid, streamed FROM ({}) i) r").format(
            names, self.hash, stamp, inner
        )

    @property
    def _kept(self) -> bool:
        return self.hash == sql.Identifier("row_hash")

    @property
    def streams(self) -> bool:
        """Whether some of its rows may have come by the stream."""
        return self.streamed != sql.SQL("false")

    @property
    def key(self) -> sql.Identifier:
        return sql.Identifier(self.entity.key)

    def bucket(self, mask: int) -> sql.Composed:
        return sql.SQL('(hashtextextended({} COLLATE "C", 0) & {})').format(self.key, sql.Literal(mask))

    def of_keys(self, keys: Sequence[str]) -> dict[str, Row]:
        """The valid rows of these keys, by the table's own index."""
        where = sql.SQL("{} = ANY({}::text[]::{}[])").format(self.key, sql.Literal(list(keys)), sql.SQL(self.key_type))
        names = sql.SQL(", ").join(map(sql.Identifier, self.entity.columns))
        query = sql.SQL("SELECT hash, stamp, version, streamed, {} FROM {} WHERE valid").format(
            names, self.relation(where)
        )
        return {row[4]: Row(folded(row[0]), row[1], row[2], row[3], row[4:]) for row in self.conn.execute(query)}


def folded(number: Any) -> int:
    """A hash, or a sum of hashes, modulo 2^64."""
    return int(number or 0) % _MODULUS


def store_side(conn: Connection, entity: Entity) -> Side:
    """The environment's own table."""
    blocks, rows = _size(conn, entity.table)
    return Side(
        conn, entity, sql.SQL(entity.table), "text", _own(entity), sql.SQL("true"), sql.Identifier("row_hash"),
        sql.SQL("src = 'stream'"), blocks, rows,
    )  # fmt: skip


def database_sides(source: PostgresSource) -> Iterator[Side]:
    """The tables of a source database."""
    conn = source.connection
    row = conn.execute("SHOW server_encoding").fetchone()
    if row is None or row[0] != "UTF8":
        raise JobError(
            "source-encoding", f"the source's encoding is {row and row[0]}",
            "Its own hashes are of other bytes than the store's, which is UTF8.",
        )  # fmt: skip
    for part in source.parts():
        kinds = source.kinds(part)
        as_one: Canonical = canonical(part.entity, kinds, conn.info.server_version)
        blocks, rows = _size(conn, part.name)
        table = sql.Identifier(*part.name.split("."))
        yield Side(
            conn, part.entity, table, kinds[part.entity.key], as_one.columns, as_one.valid, as_one.hash(),
            sql.SQL("false"), blocks if conn.info.server_version >= TID_SCAN else 0, rows,
        )  # fmt: skip


def staged_sides(conn: Connection, source: SourceReader, told: Any) -> Iterator[Side]:
    """A source without a database, in temporary tables that end with the connection; `told(rows)` hears of each chunk.

    Of a key that it holds more than once the winner of the total order stays, as in the store.
    """
    parts = source.parts()
    conn.execute("SET maintenance_work_mem = '256MB'")
    for entity in (e for e in ENTITIES if any(part.entity is e for part in parts)):
        staged = replace(entity, stage=f"reconcile_{entity.stage}")
        conn.execute(staged.stage_sql("PRESERVE ROWS").encode())
        refused = 0
        for part in (p for p in parts if p.entity is entity):
            for chunk in _ahead(source, part):
                for data in chunk.csv:
                    with conn.cursor() as cursor, cursor.copy(staged.copy_sql("CSV").encode()) as copy:
                        copy.write(data)
                refused += len(chunk.broken)
                told(chunk.rows_read)
        _one_row_a_key(conn, staged)
        blocks, rows = _size(conn, staged.stage)
        yield Side(
            conn, entity, sql.SQL(staged.stage), "text", _own(entity), sql.SQL("true"), sql.Identifier("row_hash"),
            sql.SQL("false"), blocks, rows, refused,
        )  # fmt: skip


def _ahead(source: SourceReader, part: Part) -> Iterator[Chunk]:
    """The part's chunks, each read while the one before it is written."""
    chunks = (chunk_of(part, block, Ownership()) for block in source.blocks(part, "", 0))
    with ThreadPoolExecutor(1, "read") as reader:
        waiting = reader.submit(next, chunks, None)
        while (chunk := waiting.result()) is not None:
            waiting = reader.submit(next, chunks, None)
            yield chunk


def _one_row_a_key(conn: Connection, staged: Entity) -> None:
    """A primary key, by which rows are then found; losers are removed first where there are any."""
    add = f"ALTER TABLE {staged.stage} ADD PRIMARY KEY ({staged.key})".encode()
    try:
        with conn.transaction():
            conn.execute(add)
    except psycopg.errors.UniqueViolation:
        order = f"version DESC, coalesce(updated_at, {staged.order_time}) DESC, row_hash DESC"
        ranked = f"SELECT ctid, row_number() OVER (PARTITION BY {staged.key} ORDER BY {order}) n FROM {staged.stage}"  # noqa: S608 - own names
        losers = f"SELECT ctid FROM ({ranked}) r WHERE n > 1"  # noqa: S608 - own names
        conn.execute(f"DELETE FROM {staged.stage} WHERE ctid = ANY (ARRAY({losers}))".encode())  # noqa: S608 - own names
        conn.execute(add)
    conn.execute(f"ANALYZE {staged.stage}".encode())


def _own(entity: Entity) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, entity.columns))


def _size(conn: Connection, table: str) -> tuple[int, int]:
    """(blocks, about how many rows); no blocks of what is no plain table."""
    row = conn.execute(
        "SELECT CASE WHEN c.relkind = 'r' THEN pg_relation_size(c.oid) / current_setting('block_size')::int ELSE 0 END,"
        " greatest(c.reltuples, pg_relation_size(c.oid) / 200)::bigint"
        " FROM pg_class c WHERE c.oid = to_regclass(%s)",
        (table,),
    ).fetchone()
    return (int(row[0]), max(int(row[1]), 0)) if row else (0, 0)
