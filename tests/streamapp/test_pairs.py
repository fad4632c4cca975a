"""Pairs are read from the rows: each status, by what is in the tables."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest
from psycopg.rows import TupleRow

from streamapp import store
from streamapp.contract import LedgerEntry, PaymentOrder
from streamapp.store import Envelope, Progress
from tests.support.postgres import Database

AT = datetime(2026, 1, 1, tzinfo=UTC)


def side(
    tx_id: str, kind: str, amount: str = "5.00", related: str | None = "o1", type_: str = "PAYMENT_ORDER"
) -> LedgerEntry:
    return LedgerEntry(tx_id, f"w-{tx_id}", kind, Decimal(amount), Decimal(amount), related, type_, AT, None, None, 0)


def order(amount: str = "5.00") -> PaymentOrder:
    return PaymentOrder("o1", None, None, Decimal(amount), "SETTLED", AT, None, 0)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([side("a", "PAYMENT"), side("b", "RECEIVE")], {"PAYMENT": "COMPLETE"}),
        ([side("a", "PAYMENT"), side("b", "RECEIVE"), order()], {"PAYMENT": "COMPLETE"}),
        ([side("a", "PAYMENT"), side("b", "RECEIVE"), order("6.00")], {"PAYMENT": "MISMATCH"}),
        ([side("a", "PAYMENT"), side("b", "RECEIVE", "4.99")], {"PAYMENT": "MISMATCH"}),
        ([side("a", "PAYMENT"), side("b", "RECEIVE"), side("c", "RECEIVE")], {"PAYMENT": "MISMATCH"}),
        ([side("a", "PAYMENT"), side("c", "PAYMENT")], {"PAYMENT": "MISMATCH"}),
        ([side("a", "PAYMENT")], {"PAYMENT": "INCOMPLETE"}),
        ([side("b", "RECEIVE"), order()], {"PAYMENT": "INCOMPLETE"}),
        ([side("a", "REFUND_OUT"), side("b", "REFUND_IN")], {"REFUND": "COMPLETE"}),
        ([side("a", "PAYMENT"), side("b", "RECEIVE"), side("c", "REFUND_OUT")],
         {"PAYMENT": "COMPLETE", "REFUND": "INCOMPLETE"}),
        ([side("a", "PAYMENT", related=None), side("b", "RECEIVE", type_="OTHER"), side("c", "HOLD")], {}),
    ],
)  # fmt: skip
def test_status(
    database: Database,
    owner: psycopg.Connection[TupleRow],
    rows: list[LedgerEntry | PaymentOrder],
    expected: dict[str, str],
) -> None:
    async def write() -> None:
        async with await psycopg.AsyncConnection.connect(database.conninfo("bo_consumer")) as conn:
            await store.prepare(conn)
            batch = [
                Envelope("o" if isinstance(row, PaymentOrder) else "l", 0, i, None, None, row)
                for i, row in enumerate(rows)
            ]
            await store.apply_batch(conn, batch, Progress("g"))

    asyncio.run(write())
    found = owner.execute("SELECT pair_kind, pairing_status FROM bo.payment_ledger_pairs").fetchall()
    assert dict(found) == expected


@pytest.mark.parametrize(
    ("status", "group"),
    [
        ("settled", "SUCCESS"),
        ("PAID", "SUCCESS"),
        ("Declined", "FAIL"),
        ("AUTHORIZED", "IN_PROGRESS"),
        ("?", "UNKNOWN"),
    ],
)
def test_status_group(owner: psycopg.Connection[TupleRow], status: str, group: str) -> None:
    assert owner.execute("SELECT bo.status_group(%s)", (status,)).fetchone() == (group,)
