"""The contract: what is a record, what is a violation and of which class; no bytes raise anything else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamapp.contract import (
    ContractViolation,
    LedgerEntry,
    PaymentOrder,
    decode_ledger,
    decode_order,
    encode,
    signed_amount,
)
from tests.support import payloads

LEDGER: dict[str, Any] = {
    "tx_id": "tx-1",
    "wallet_id": "w-1",
    "entry_type": "PAYMENT",
    "amount": "12.50",
    "event_time": "2026-01-02T03:04:05.678901Z",
}
ORDER: dict[str, Any] = {
    "order_id": "po-1",
    "amount": "12.50",
    "status": "SETTLED",
    "created_at": "2026-01-02T03:04:05Z",
}
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def ledger(**changes: Any) -> bytes:
    return json.dumps(LEDGER | changes).encode()


def order(**changes: Any) -> bytes:
    return json.dumps(ORDER | changes).encode()


def test_the_least_ledger_row() -> None:
    assert decode_ledger(ledger()) == LedgerEntry(
        "tx-1", "w-1", "PAYMENT", Decimal("12.50"), Decimal("-12.50"), None, None, AT, None, None, 0
    )


def test_the_least_order() -> None:
    created = AT.replace(microsecond=0)
    assert decode_order(order()) == PaymentOrder("po-1", None, None, Decimal("12.50"), "SETTLED", created, None, 0)


@pytest.mark.parametrize("name", ["source_created_at", "created_at"])
def test_aliases_stand_in_for_what_is_absent(name: str) -> None:
    raw = {k: v for k, v in LEDGER.items() if k not in ("event_time", "entry_type")}
    entry = decode_ledger(
        json.dumps(raw | {name: LEDGER["event_time"], "type": "CHARGE", "source_version": 7}).encode()
    )
    assert (entry.event_time, entry.entry_type, entry.version) == (AT, "CHARGE", 7)
    assert entry.created_at == (AT if name == "created_at" else None)


def test_a_name_counts_before_its_alias() -> None:
    entry = decode_ledger(ledger(type="CHARGE", version=0, source_version=7, created_at="2025-01-01T00:00:00Z"))
    assert (entry.entry_type, entry.version, entry.event_time) == ("PAYMENT", 0, AT)


@pytest.mark.parametrize(
    ("kind", "signed"),
    [("CHARGE", 5), ("WITHDRAW", -5), ("MINT", 5), ("BURN", -5), ("PAYMENT", -5), ("RECEIVE", 5),
     ("REFUND_OUT", -5), ("REFUND_IN", 5), ("HOLD", 0), ("RELEASE", 0), ("TIP", None)],
)  # fmt: skip
def test_signs(kind: str, signed: int | None) -> None:
    assert signed_amount(kind, Decimal(5)) == (None if signed is None else Decimal(signed))


def test_a_given_signed_amount_is_kept() -> None:
    assert decode_ledger(ledger(amount_signed="12.50")).amount_signed == Decimal("12.50")


def test_a_time_with_an_offset_is_the_same_instant() -> None:
    entry = decode_ledger(ledger(event_time="2026-01-02T12:04:05.678901+09:00"))
    assert (entry.event_time, entry.event_time.tzinfo) == (AT, UTC)


@pytest.mark.parametrize(
    ("raw", "error_class"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"{", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"tx_id":"\xff"}', "not_json"),
        (b'{"tx_id":"\\ud800"}', "not_json"),
        (b'{"amount":NaN}', "not_json"),
        (b'{"z":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not_json"),
        (b"[]", "wrong_type"),
        (b"null", "wrong_type"),
        (ledger(tx_id=None), "missing_field"),
        (ledger(tx_id=""), "missing_field"),
        (ledger(entry_type=None), "missing_field"),
        (ledger(event_time=None), "missing_field"),
        (ledger(amount=None), "missing_field"),
        (ledger(tx_id=5), "wrong_type"),
        (ledger(amount=12.5), "wrong_type"),
        (ledger(amount="1e2"), "bad_amount"),
        (ledger(amount="NaN"), "bad_amount"),
        (ledger(amount="1.005"), "bad_amount"),
        (ledger(amount="9" * 17), "bad_amount"),
        (ledger(amount="9" * 40), "bad_amount"),
        (ledger(amount="\u0661"), "bad_amount"),
        (ledger(amount_signed="x"), "bad_amount"),
        (ledger(event_time="2026-01-02T03:04:05"), "wrong_type"),
        (ledger(event_time="10000-01-01T00:00:00Z"), "wrong_type"),
        (ledger(event_time="2026-02-30T00:00:00Z"), "wrong_type"),
        (ledger(event_time="9999-12-31T23:59:59-12:00"), "bad_time"),
        (ledger(event_time="0001-01-01T00:00:00+12:00"), "bad_time"),
        (ledger(event_time=1767323045), "wrong_type"),
        (ledger(version="1"), "wrong_type"),
        (ledger(version=True), "wrong_type"),
        (ledger(version=1.5), "wrong_type"),
        (ledger(version=2**63), "out_of_range"),
        (ledger(version=10**30), "out_of_range"),
        (ledger(tx_id="x" * 257), "too_long"),
        (ledger(related_type="x" * 1025), "too_long"),
        (ledger(wallet_id="a\0b"), "bad_text"),
        (ledger(related_type="\0"), "bad_text"),
    ],
)
def test_violations(raw: bytes | None, error_class: str) -> None:
    with pytest.raises(ContractViolation) as caught:
        decode_ledger(raw)
    assert caught.value.error_class == error_class


@pytest.mark.parametrize("name", ["order_id", "amount", "status", "created_at"])
def test_an_order_needs_its_fields(name: str) -> None:
    with pytest.raises(ContractViolation) as caught:
        decode_order(order(**{name: None}))
    assert (caught.value.error_class, caught.value.detail) == ("missing_field", name)


def test_details_do_not_quote_values() -> None:
    for raw in (ledger(amount="secret"), ledger(tx_id=["secret"]), b'{"secret'):
        with pytest.raises(ContractViolation) as caught:
            decode_ledger(raw)
        assert "secret" not in caught.value.detail


def test_edges_that_are_right() -> None:
    entry = decode_ledger(
        ledger(
            amount="-9999999999999999.99",
            event_time="9999-12-31T23:59:59.999999Z",
            version=2**63 - 1,
            tx_id="\U0001f4b3" * 256,
            schema_version=[1, "2"],
            surplus={"deep": [None]},
        )
    )
    assert entry.amount == Decimal("-9999999999999999.99")
    assert entry.version == 2**63 - 1


def test_the_last_of_repeated_keys_counts() -> None:
    raw = ledger()[:-1] + b', "tx_id": "tx-2"}'
    assert decode_ledger(raw).tx_id == "tx-2"


def attempt(raw: bytes | None) -> None:
    for decode in (decode_ledger, decode_order):
        try:
            record = decode(raw)
        except ContractViolation as violation:
            assert violation.error_class
            violation.detail.encode()
            assert "\0" not in violation.detail
        else:
            assert decode(encode(record)) == record


@given(payloads.HOSTILE)
def test_no_hostile_payload_raises_anything_else(raw: bytes) -> None:
    attempt(raw)


@pytest.mark.parametrize("unit", [b"[", b'{"a":', b'"', b"9", b"\\u0000", b"\xff", b" ", b"-", b'{"tx_id":"a",'])
def test_no_large_payload_hangs_or_breaks_the_decoder(unit: bytes) -> None:
    for raw in (unit * (4 << 20), b'{"tx_id":' + unit * (1 << 20), b'{"amount":"' + unit * (1 << 20) + b'"}'):
        attempt(raw)


@given(st.dictionaries(payloads.NAMES, payloads.VALUES))
def test_no_object_raises_anything_else(fields: dict[str, Any]) -> None:
    for base in ({}, LEDGER, ORDER):
        attempt(json.dumps(base | fields).encode())
