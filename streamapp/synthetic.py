"""Synthetic payments: deterministic by seed, of any size, with faults on demand.

Owns the generator, and the rule that block `n` of a seed is always the same, so a run can begin at any block.
Must not read a clock: event times begin at START and go on by about one payment a second.

One payment is one order and its PAYMENT and RECEIVE rows. Of all rows the given share is
- late: its event time is up to an hour before its neighbours';
- duplicate: it comes once more, a little later in the block;
- out of order: an older version of it comes after it;
- broken: its payload violates the contract (in one of several ways).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from streamapp.contract import LedgerEntry, PaymentOrder, Record

START: Final = datetime(2024, 1, 1, tzinfo=UTC)
BLOCK_PAYMENTS: Final = 5_000
_STATUS: Final = ("SETTLED",) * 96 + ("FAILED", "CANCELLED", "PENDING", "CREATED")
BROKEN: Final = (
    b"{",
    b"[]",
    b'{"tx_id":"broken","order_id":"broken"}',
    b'{"tx_id":"b","order_id":"b","wallet_id":"w","type":"PAYMENT","amount":1.5,"status":"SETTLED",'
    b'"created_at":"2024-01-01T00:00:00Z"}',
    b'{"tx_id":"b","order_id":"b","wallet_id":"w","type":"PAYMENT","amount":"99999999999999999.00",'
    b'"status":"SETTLED","created_at":"2024-01-01T00:00:00Z"}',
    b"\xff\xfe\x00",
)


@dataclass(frozen=True)
class Faults:
    """Shares of the rows, each from 0 to 1."""

    late: float = 0.0
    duplicates: float = 0.0
    out_of_order: float = 0.0
    broken: float = 0.0


Event = Record | bytes


def blocks(rows: int, seed: int, faults: Faults, first: int = 0) -> Iterator[list[Event]]:
    """Blocks from number `first` on, of about three rows a payment; bytes are a broken payload.

    `rows` counts what is right and new, without the duplicates and old versions that faults add.
    """
    payments = -(-rows // 3)
    for number in range(first, -(-payments // BLOCK_PAYMENTS)):
        begin = number * BLOCK_PAYMENTS
        yield _block(range(begin, min(begin + BLOCK_PAYMENTS, payments)), rows, seed, faults)


def _block(payments: range, rows: int, seed: int, faults: Faults) -> list[Event]:
    # A text seed is hashed whole, so neighbouring blocks share nothing.
    rng = random.Random(f"{seed}:{payments.start}")
    records: list[Record] = []
    for payment in payments:
        records += payment_of(payment, rng)
    del records[max(rows - 3 * payments.start, 0) :]
    if not (faults.late or faults.duplicates or faults.out_of_order or faults.broken):
        return list(records)
    events: list[Event] = []
    again: list[tuple[int, Event]] = []
    for place, record in enumerate(records):
        if rng.random() < faults.late:
            record = _moved(record, -timedelta(seconds=rng.randrange(1, 3600)))
        if rng.random() < faults.broken:
            events.append(rng.choice(BROKEN))
            continue
        events.append(record)
        if rng.random() < faults.duplicates:
            again.append((place + rng.randrange(1, 500), record))
        if rng.random() < faults.out_of_order:
            old = _moved(record, -timedelta(seconds=1))._replace(version=record.version - 1)
            again.append((place + rng.randrange(1, 500), old))
    for place, event in sorted(again, key=lambda late: late[0], reverse=True):
        events.insert(place, event)
    return events


def payment_of(number: int, rng: random.Random) -> tuple[PaymentOrder, LedgerEntry, LedgerEntry]:
    """One payment, complete and equal on both sides."""
    at = START + timedelta(seconds=number, microseconds=rng.randrange(1_000_000))
    amount = Decimal(rng.randrange(1, 1_000_000)).scaleb(-2)
    payer, merchant = rng.randrange(20_000), rng.randrange(2_000)
    order_id, version = f"so-{number:012d}", rng.randrange(1, 4)
    status = rng.choice(_STATUS)
    order = PaymentOrder(order_id, f"user-{payer}", f"SHOP-{merchant}", amount, status, at, at, version)
    pay = LedgerEntry(
        f"st-{number:012d}-p", f"user-{payer}", "PAYMENT", amount, -amount, order_id, "PAYMENT_ORDER",
        at, at, at, version,
    )  # fmt: skip
    receive = LedgerEntry(
        f"st-{number:012d}-r", f"shop-{merchant}", "RECEIVE", amount, amount, order_id, "PAYMENT_ORDER",
        at, at, at, version,
    )  # fmt: skip
    return order, pay, receive


def _moved(record: Record, by: timedelta) -> Record:
    if isinstance(record, PaymentOrder):
        return record._replace(
            created_at=record.created_at + by,
            updated_at=None if record.updated_at is None else record.updated_at + by,
        )
    return record._replace(
        event_time=record.event_time + by,
        created_at=None if record.created_at is None else record.created_at + by,
        updated_at=None if record.updated_at is None else record.updated_at + by,
    )
