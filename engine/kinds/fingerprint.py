"""Rebuild equivalence: one hash a table, of the rows' content alone, whatever order and road they came by.

Owns which columns count: those that the schema's own hash functions take, so never where or when a row was ingested.
The hash is computed anew from the columns, not read from the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from psycopg import Connection, sql

TABLES: Final = {"ledger_entries": "ledger_entry_hash", "payment_orders": "payment_order_hash"}
_COLUMNS: Final = sql.SQL("SELECT proargnames FROM pg_proc WHERE oid = to_regproc(%s)")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One table. `hash`: the sum of all row hashes as 32 hexadecimal digits; equal content, equal hash."""

    table: str
    rows: int
    hash: str


def fingerprints(connection: Connection[tuple[Any, ...]]) -> tuple[Fingerprint, ...]:
    """Both tables, at one moment each; one scan a table."""
    found = []
    for table, function in TABLES.items():
        named = connection.execute(_COLUMNS, (f"bo.{function}",)).fetchone()
        assert named is not None
        row = connection.execute(sql.SQL("SELECT count(*), coalesce(sum({}({})::numeric), 0)::text FROM {}").format(
            sql.Identifier("bo", function), sql.SQL(", ").join(map(sql.Identifier, named[0])),
            sql.Identifier("bo", table))).fetchone()
        assert row is not None
        found.append(Fingerprint(table, int(row[0]), f"{int(row[1]) % 2**128:032x}"))
    return tuple(found)
