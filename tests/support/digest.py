"""The tables' content as two numbers, without ingest and source columns: equal content, equal digest."""

from __future__ import annotations

import psycopg
from psycopg.rows import TupleRow

Digest = dict[str, tuple[int, int]]


def table_digest(conn: psycopg.Connection[TupleRow]) -> Digest:
    """Table to (rows, sum of the row hashes). The hash is computed anew, not read from the row."""
    found: Digest = {}
    for table, hashed in (
        ("bo.ledger_entries", "bo.ledger_entry_hash(tx_id, wallet_id, entry_type, amount, amount_signed, "
         "related_id, related_type, event_time, created_at, updated_at, version)"),
        ("bo.payment_orders", "bo.payment_order_hash(order_id, user_id, merchant_name, amount, status, "
         "created_at, updated_at, version)"),
    ):  # fmt: skip
        query = f"SELECT count(*), coalesce(sum({hashed}::numeric), 0)::text FROM {table}"  # noqa: S608
        row = conn.execute(query.encode()).fetchone()
        assert row is not None
        found[table] = (row[0], int(row[1]))
    return found
