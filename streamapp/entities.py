"""The two tables as data: their columns, and the statements that stage and merge them.

Owns the total order in SQL and the kinds of the columns. Must not run anything. Every name in a statement
is a constant of this file, never input; values travel as parameters or by COPY.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Entity:
    """What differs between the two tables. Column names are ours, never input."""

    table: str
    stage: str
    key: str
    order_time: str
    columns: Mapping[str, str]
    hash_function: str

    @property
    def names(self) -> str:
        return ", ".join(self.columns)

    def stage_sql(self, on_commit: str = "DELETE ROWS") -> str:
        typed = ", ".join(f"{name} {kind}" for name, kind in self.columns.items())
        return (
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {self.stage} ({typed}, src_partition int4, src_offset int8, "
            f"row_hash int8 GENERATED ALWAYS AS ({self.hash_function}({self.names})) STORED) "
            f"ON COMMIT {on_commit}"
        )

    def copy_sql(self, form: str) -> str:
        return f"COPY {self.stage} ({self.names}, src_partition, src_offset) FROM STDIN (FORMAT {form})"

    def _order(self, row: str) -> str:
        return f"{row}.version, coalesce({row}.updated_at, {row}.{self.order_time}), {row}.row_hash"

    def _conflict(self, one: str, other: str) -> str:
        """Same version, other content. Version 0 means none was given: then the same time counts."""
        return (
            f"{one}.row_hash <> {other}.row_hash AND {one}.version = {other}.version AND ({one}.version <> 0 "
            f"OR coalesce({one}.updated_at, {one}.{self.order_time}) "
            f"= coalesce({other}.updated_at, {other}.{self.order_time}))"
        )

    def merge_sql(self) -> str:
        """Parameter: src. Rows: partition, applied, conflicts among them."""
        order = f"s.version DESC, coalesce(s.updated_at, s.{self.order_time}) DESC, s.row_hash DESC"
        changed = ", ".join(
            f"{name} = EXCLUDED.{name}"
            for name in (*self.columns, "src", "src_partition", "src_offset")
            if name != self.key
        )
        return f"""
WITH winner AS (
    SELECT DISTINCT ON (s.{self.key}) * FROM {self.stage} s ORDER BY s.{self.key}, {order}, s.src_offset
), merged AS (
    INSERT INTO {self.table} AS t ({self.names}, src, src_partition, src_offset)
    SELECT {self.names}, %(src)s, src_partition, src_offset FROM winner ORDER BY {self.key}
    ON CONFLICT ({self.key}) DO UPDATE SET {changed}, ingested_at = now()
    WHERE ({self._order("EXCLUDED")}) > ({self._order("t")})
    RETURNING new.src_partition, coalesce({self._conflict("old", "new")}, false) AS conflict
)
SELECT src_partition, count(*), count(*) FILTER (WHERE conflict) FROM merged GROUP BY 1"""  # noqa: S608

    def losers_sql(self) -> str:
        """After the merge, with its rows locked. Rows: partition, same as stored, other, conflicts."""
        return f"""
SELECT s.src_partition, count(*) FILTER (WHERE s.row_hash = t.row_hash),
       count(*) FILTER (WHERE s.row_hash <> t.row_hash), count(*) FILTER (WHERE {self._conflict("s", "t")})
FROM {self.stage} s JOIN {self.table} t USING ({self.key}) GROUP BY 1"""  # noqa: S608


_ID: Final = 'text COLLATE "C"'
ORDERS: Final = Entity(
    table="bo.payment_orders",
    stage="stage_orders",
    key="order_id",
    order_time="created_at",
    columns={
        "order_id": _ID, "user_id": "text", "merchant_name": "text", "amount": "numeric", "status": "text",
        "created_at": "timestamptz", "updated_at": "timestamptz", "version": "int8",
    },
    hash_function="bo.payment_order_hash",
)  # fmt: skip
LEDGER: Final = Entity(
    table="bo.ledger_entries",
    stage="stage_ledger",
    key="tx_id",
    order_time="event_time",
    columns={
        "tx_id": _ID, "wallet_id": _ID, "entry_type": "text", "amount": "numeric", "amount_signed": "numeric",
        "related_id": _ID, "related_type": "text", "event_time": "timestamptz", "created_at": "timestamptz",
        "updated_at": "timestamptz", "version": "int8",
    },
    hash_function="bo.ledger_entry_hash",
)  # fmt: skip
# Orders first, always: the locks of two writers then follow one order.
ENTITIES: Final = (ORDERS, LEDGER)
