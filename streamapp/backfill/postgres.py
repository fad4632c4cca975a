"""A PostgreSQL database as a source: two tables in keyset chunks, all of one snapshot.

Owns the reading connection (a repeatable-read, read-only transaction that lasts as long as the run, so both
tables are seen at one moment) and the mapping of its columns to the contract's names. Must not check the
contract. A restart takes a new snapshot and goes on after the last key: a row that changed meanwhile behind that
key was published after the cutover was recorded, so the stream brings it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv
from psycopg import sql
from psycopg.rows import TupleRow

from streamapp import settings
from streamapp.backfill.chunks import Block, Part
from streamapp.backfill.spec import Postgres
from streamapp.columns import ALIASES, TIME
from streamapp.entities import LEDGER, ORDERS, Entity
from streamapp.report import JobError

_COLUMNS: Final = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped"""

_TRIM_SCALE: Final = 130_000


class PostgresSource:
    """The tables of a spec, orders before ledger."""

    # One connection is one snapshot.
    workers = 1

    def __init__(self, spec: Postgres, server: settings.Postgres) -> None:
        self._spec = spec
        self._kinds: dict[str, dict[str, str]] = {}
        try:
            self._conn: psycopg.Connection[TupleRow] = psycopg.connect(server.conninfo("txplan-backfill-source"))
        except psycopg.OperationalError as problem:
            raise JobError("source-unreachable", "the source does not answer", str(problem)) from None
        self._conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self._conn.read_only = True
        # The text forms that Arrow reads back exactly, whatever the source's own settings are.
        for name, value in (("TimeZone", "UTC"), ("DateStyle", "ISO"), ("IntervalStyle", "postgres")):
            self._conn.execute("SELECT set_config(%s, %s, false)", (name, value))

    def snapshot(self) -> Mapping[str, Any]:
        """The transaction's snapshot, and the source's own clock held against this machine's."""
        asked = datetime.now(UTC)
        row = self._conn.execute("SELECT pg_current_snapshot()::text, clock_timestamp()").fetchone()
        within = (datetime.now(UTC) - asked) / 2
        assert row is not None
        return {"kind": "postgres", "snapshot": row[0], "at": row[1].astimezone(UTC).isoformat(),
                "ahead_s": round((row[1] - (asked + within)).total_seconds(), 3),
                "within_s": round(within.total_seconds(), 3)}

    def parts(self) -> Sequence[Part]:
        """Raises JobError: source-empty (no table named or found), source-column (key or zone missing)."""
        named = ((self._spec.orders_table, ORDERS), (self._spec.ledger_table, LEDGER))
        found = [self._part(table, entity) for table, entity in named if table]
        if not found:
            raise JobError("source-empty", "the spec names no tables", "Give `orders_table`, `ledger_table`.")
        return found

    def blocks(self, part: Part, position: str, rows_before: int) -> Iterator[Block]:
        """The position is the last key, as text."""
        row = rows_before
        while True:
            try:
                data = self._read(part, position)
            except psycopg.Error as problem:
                raise JobError("source-unreadable", f"{part.name} cannot be read", str(problem)) from None
            table = pa_csv.read_csv(io.BytesIO(data), convert_options=self._convert(part)) if data else None
            if table is None or table.num_rows == 0:
                return
            position = table[part.entity.key][-1].as_py()
            numbers = range(row + 1, row + table.num_rows + 1)
            row += table.num_rows
            yield Block(position, table.num_rows, table, numbers)

    @property
    def connection(self) -> psycopg.Connection[TupleRow]:
        """The connection that holds the snapshot."""
        return self._conn

    def kinds(self, part: Part) -> Mapping[str, str]:
        """The part's columns that the contract knows, with their types as the server writes them."""
        return self._kinds[part.name]

    def close(self) -> None:
        self._conn.close()

    def _part(self, table: str, entity: Entity) -> Part:
        kinds: dict[str, str] = dict(self._conn.execute(_COLUMNS, (table,)).fetchall())
        if not kinds:
            raise JobError("source-empty", f"the source has no table {table}", "Check its name and schema.")
        if entity.key not in kinds:
            raise JobError("source-column", f"{table} has no column {entity.key}", "It is the key.")
        wanted = {*entity.columns, *(alias for n in entity.columns for alias in ALIASES.get(n, ()))}
        self._kinds[table] = {name: kind for name, kind in kinds.items() if name in wanted}
        for name, kind in self._kinds[table].items():
            if "without time zone" in kind:
                raise JobError("source-column", f"{table}.{name} is a {kind}", "A time needs its zone.")
            if name.startswith("amount") and kind in ("real", "double precision", "money"):
                raise JobError("source-column", f"{table}.{name} is a {kind}", "An amount is a decimal.")
        estimate = self._conn.execute(
            "SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(%s)", (table,)
        ).fetchone()
        total = estimate[0] if estimate and estimate[0] > 0 else None
        return Part(table, entity, f"table:{table}", "", total)

    def _read(self, part: Part, after: str) -> bytes:
        kinds, key = self._kinds[part.name], sql.Identifier(part.entity.key)
        # 1.5000 of a column with more decimals says the same as 1.5; 1.005 stays, and is refused.
        names = sql.SQL(", ").join(
            sql.SQL("{} AS {}").format(trimmed(at, self._conn.info.server_version), at)
            if kind.startswith("numeric")
            else at
            for at, kind in ((sql.Identifier(name), kind) for name, kind in kinds.items())
        )
        # The key is compared as its own type, which the source's own index is ordered by.
        where = (
            sql.SQL("WHERE {} > {}::{}").format(
                key, sql.Literal(after), sql.SQL(kinds[part.entity.key])
            )
            if after
            else sql.SQL("")
        )  # fmt: skip
        query = sql.SQL("COPY (SELECT {} FROM {} {} ORDER BY {} LIMIT {}) TO STDOUT (FORMAT csv, HEADER)")
        table = sql.Identifier(*part.name.split("."))
        limit = sql.Literal(self._spec.chunk_rows)
        with self._conn.cursor() as cursor, cursor.copy(query.format(names, table, where, key, limit)) as copy:
            return b"".join(copy)

    def _convert(self, part: Part) -> pa_csv.ConvertOptions:
        """Text stays text, and so do amounts, so that nothing is rounded before the contract sees it."""
        kinds = self._kinds[part.name]
        return pa_csv.ConvertOptions(
            column_types={n: TIME if k.startswith("timestamp") else pa.string() for n, k in kinds.items()},
            strings_can_be_null=True,
            null_values=[""],
            quoted_strings_can_be_null=False,
        )


def trimmed(at: sql.Identifier, server_version: int) -> sql.Composed:
    """A numeric column as text without zeros behind its last digit, also where there is no trim_scale yet."""
    if server_version >= _TRIM_SCALE:
        return sql.SQL("trim_scale({})::text").format(at)
    return sql.SQL(
        "CASE WHEN strpos({0}::text, '.') > 0 THEN rtrim(rtrim({0}::text, '0'), '.') ELSE {0}::text END"
    ).format(at)
