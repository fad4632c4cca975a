"""Synthetic events: the same for one seed, of the asked size, with the asked faults, from any block on."""

from __future__ import annotations

import itertools

import pytest

from streamapp.contract import LedgerEntry, PaymentOrder
from streamapp.synthetic import BLOCK_PAYMENTS, Event, Faults, blocks

ALL = Faults(late=0.1, duplicates=0.1, out_of_order=0.1, broken=0.1)


def events(rows: int, seed: int = 1, faults: Faults | None = None, first: int = 0) -> list[Event]:
    return list(itertools.chain.from_iterable(blocks(rows, seed, faults or Faults(), first)))


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 100, 3 * BLOCK_PAYMENTS, 3 * BLOCK_PAYMENTS + 1])
def test_as_many_rows_as_asked_for(rows: int) -> None:
    found = events(rows)
    assert len(found) == rows
    assert sum(isinstance(event, PaymentOrder) for event in found) == -(-rows // 3)


def test_a_seed_is_always_the_same_and_another_is_not() -> None:
    assert events(3000, 7, ALL) == events(3000, 7, ALL)
    assert events(3000, 7, ALL) != events(3000, 8, ALL)


def test_any_block_can_be_the_first() -> None:
    rows = 3 * BLOCK_PAYMENTS * 3 - 100
    every = list(blocks(rows, 1, ALL))
    assert list(blocks(rows, 1, ALL, first=2)) == every[2:]
    assert len(every) == 3


def test_without_faults_every_payment_is_complete_and_sums_to_zero() -> None:
    found = iter(events(300))
    for order, pay, receive in zip(found, found, found, strict=True):
        assert isinstance(order, PaymentOrder)
        assert isinstance(pay, LedgerEntry)
        assert isinstance(receive, LedgerEntry)
        assert (pay.related_id, receive.related_id) == (order.order_id, order.order_id)
        assert pay.amount == receive.amount == order.amount
        assert pay.amount_signed is not None
        assert pay.amount_signed + (receive.amount_signed or 0) == 0


def test_faults_come_in_their_share() -> None:
    rows = 30_000
    plain = set(events(rows))
    broken = [e for e in events(rows, faults=Faults(broken=0.1)) if isinstance(e, bytes)]
    assert 0.08 < len(broken) / rows < 0.12
    repeated = events(rows, faults=Faults(duplicates=0.1))
    assert set(repeated) == plain
    assert 0.08 < len(repeated) / rows - 1 < 0.12
    older = [e for e in events(rows, faults=Faults(out_of_order=0.1)) if e not in plain]
    assert 0.08 < len(older) / rows < 0.12
    late = events(rows, faults=Faults(late=0.1))
    assert len(late) == rows
    assert 0.08 < sum(e not in plain for e in late) / rows < 0.12


def test_an_out_of_order_row_is_older_and_comes_after() -> None:
    seen: dict[str, int] = {}
    behind = 0
    for event in events(3000, faults=Faults(out_of_order=0.2)):
        assert not isinstance(event, bytes)
        key = event[0]
        if key in seen:
            assert event.version < seen[key]
            behind += 1
        seen.setdefault(key, event.version)
    assert behind
