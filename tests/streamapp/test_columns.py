"""The vector check never calls right what the contract refuses, and reads what it passes as the contract does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamapp import columns
from streamapp.contract import ContractViolation, Record, decode_ledger, decode_order
from streamapp.entities import LEDGER, ORDERS, Entity

texts = st.sampled_from(["", "a", "PAYMENT", "RECEIVE", "HOLD", "TIP", "\0", "é" * 256, "x" * 257, "x" * 1025])
amounts = st.sampled_from(["1.25", "-0.5", "7", "1.255", "1e2", "NaN", "", "9" * 16 + ".99", "9" * 17, " 1", "-"])
times = st.sampled_from(
    ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05",
     "2026-02-30T00:00:00Z", "2026-01-02T24:00:00Z", "2026-01-02T23:59:60Z", "2026-01-02T12:00:00+09:00",
     "9999-12-31T23:59:59-12:00", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "soon"]
)  # fmt: skip
versions = st.sampled_from(["0", "5", "-1", "1.0", "x", "9" * 18, "9" * 19, "9" * 30])


def column(name: str) -> st.SearchStrategy[str]:
    if "amount" in name:
        return amounts
    if name.endswith("version"):
        return versions
    return times if name in ("event_time", "created_at", "updated_at", "source_created_at") else texts


def right_value(name: str) -> str:
    return "1.25" if "amount" in name else "3" if name.endswith("version") else "2026-01-02T03:04:05Z" if (
        name in ("event_time", "created_at", "updated_at", "source_created_at")
    ) else "PAYMENT"  # fmt: skip


def row(names: list[str]) -> st.SearchStrategy[dict[str, str | None]]:
    """A right row with a few odd cells, so that each oddity meets rows that are right but for it."""
    base: dict[str, str | None] = {name: right_value(name) for name in names}
    cell = st.sampled_from(names).flatmap(lambda n: st.tuples(st.just(n), st.none() | column(n)))
    return st.lists(cell, max_size=3).map(lambda cells: base | dict(cells))


def contract(entity: Entity, raw: bytes) -> Record | None:
    try:
        return decode_ledger(raw) if entity is LEDGER else decode_order(raw)
    except ContractViolation:
        return None


def compare(entity: Entity, table: pa.Table) -> None:
    """Every row that is called right is one by the contract too, and the same record."""
    numbers = pa.array(range(table.num_rows), pa.int64())
    checked = columns.check(entity, table, numbers)
    raws = columns.payloads(table, range(table.num_rows))
    good = checked.good.to_pylist()
    assert sorted([r["src_offset"] for r in good] + checked.doubtful) == list(range(table.num_rows))
    for found in good:
        record = contract(entity, raws[found["src_offset"]])
        assert record is not None, found
        assert {name: found[name] for name in entity.columns} == record._asdict()


LEDGER_NAMES = [*LEDGER.columns, "type", "source_created_at", "source_version"]
ORDER_NAMES = [*ORDERS.columns, "source_version"]


@given(st.lists(row(LEDGER_NAMES), min_size=1, max_size=20), st.sets(st.sampled_from(LEDGER_NAMES)))
def test_ledger_columns_of_text(rows: list[dict[str, str | None]], absent: set[str]) -> None:
    names = [name for name in LEDGER_NAMES if name not in absent]
    compare(LEDGER, pa.table({n: pa.array([r[n] for r in rows], pa.string()) for n in names} or {"z": pa.array(["1"])}))


@given(st.lists(row(ORDER_NAMES), min_size=1, max_size=20))
def test_order_columns_of_text(rows: list[dict[str, str | None]]) -> None:
    compare(ORDERS, pa.table({n: pa.array([r[n] for r in rows], pa.string()) for n in ORDER_NAMES}))


GOOD: dict[str, Any] = {
    "order_id": ["po-1", "po-2"],
    "amount": pa.array([Decimal("1.25"), Decimal("-2.00")], pa.decimal128(18, 2)),
    "status": pa.array(["SETTLED", "PAID"]).dictionary_encode(),
    "created_at": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 2, pa.timestamp("ms", tz="Asia/Seoul")),
    "version": pa.array([1, None], pa.int16()),
}
BIG = 1 << 62


@pytest.mark.parametrize(
    ("name", "values", "right"),
    [
        ("version", pa.array([1, 2], pa.uint64()), True),
        ("version", pa.array([1.0, 2.0]), False),
        ("version", pa.array([True, False]), False),
        ("amount", pa.array([Decimal("1.5"), Decimal(2)], pa.decimal128(5, 1)), True),
        ("amount", pa.array([Decimal("1.2500"), Decimal("1.2550")], pa.decimal128(30, 4)), False),
        ("amount", pa.array([1.25, 2.5]), False),
        ("amount", pa.array([1, 2]), False),
        ("status", pa.array(["A", "B"], pa.large_string()), True),
        ("status", pa.array([b"A", b"B"]), False),
        ("status", pa.nulls(2), False),
        ("user_id", pa.nulls(2), True),
        ("user_id", pa.array([1, 2]), False),
        ("created_at", pa.array([0, 1], pa.timestamp("us")), False),
        ("created_at", pa.array([1000, 2001], pa.timestamp("ns", tz="UTC")), False),
        ("created_at", pa.array([BIG, -BIG], pa.timestamp("us", tz="UTC")), False),
        ("created_at", pa.array([0, 1], pa.date32()), False),
        ("updated_at", pa.nulls(2), True),
    ],
)
def test_typed_columns(name: str, values: pa.Array[Any], right: bool) -> None:
    table = pa.table(GOOD | {name: values})
    checked = columns.check(ORDERS, table, pa.array([0, 1], pa.int64()))
    assert checked.good.num_rows == (2 if right else 0)
    compare(ORDERS, table)


def test_a_wider_decimal_that_says_the_same_is_right_after_all() -> None:
    table = pa.table(GOOD | {"amount": pa.array([Decimal("1.2500"), Decimal("1.2550")], pa.decimal128(30, 4))})
    raws = columns.payloads(table, [0, 1])
    assert [contract(ORDERS, raw) is not None for raw in raws] == [True, False]


def test_records_survive_the_way_through_columns() -> None:
    raw = b'{"tx_id":"t","wallet_id":"w","entry_type":"TIP","amount":"1.5","event_time":"0001-01-01T00:00:00Z"}'
    record = decode_ledger(raw)
    [found] = columns.from_records(LEDGER, [(7, record)]).to_pylist()
    assert {name: found[name] for name in LEDGER.columns} == record._asdict()
    assert (found["src_offset"], found["src_partition"]) == (7, None)


def test_before_is_exclusive_and_takes_an_orders_update() -> None:
    at = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=9)))
    table = pa.table(GOOD | {"updated_at": pa.array([None, at], pa.timestamp("us", tz="UTC"))})
    good = columns.check(ORDERS, table, pa.array([0, 1], pa.int64())).good
    created = datetime(2026, 1, 1, tzinfo=UTC)
    assert columns.before(ORDERS, good, created)["order_id"].to_pylist() == ["po-2"]
    assert columns.before(ORDERS, good, at).num_rows == 0
    assert columns.before(ORDERS, good, created + timedelta(microseconds=1)).num_rows == 2
