"""The contract of the two topics: bytes in, a typed record out, or the one reason why not.

Owns field names, aliases, types and limits of `ledger.entry.upserted` and `payment.order.upserted`, and the
signs of entry types. Must not know where bytes come from or where records go. Every road (stream, backfill,
replay) decodes here, and ContractViolation is the only exception that any bytes can raise.

Decided here:
- Amounts are decimal strings of at most 16 digits and 2 decimals. PostgreSQL would round a third decimal
  silently, and money is never changed on the way: it is a violation. So is an amount as a JSON number.
- Times carry `Z` or an offset; one without a zone is a violation, since a guess may be hours off. They are kept
  as UTC and must fall within the years 1 to 9999 there. Digits below a microsecond are rounded.
- `amount_signed` is kept as the source gives it, also where its sign disagrees with the entry type: the copy is
  faithful, and the invariants of reconciliation tell the difference. It is derived only where it is absent.
- Of a JSON object's repeated key the last counts. null is the same as absent.
- Identifiers have 1 to 256 characters, other texts at most 1,024: longer ones cannot be indexed or are no data
  of this kind. Text cannot contain NUL, which PostgreSQL cannot store.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, NamedTuple, TypeVar, assert_never

import msgspec

ID_LIMIT = 256
TEXT_LIMIT = 1024
VERSION_LIMIT = 2**63 - 1
AMOUNT = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,2})?")

PLUS = frozenset({"CHARGE", "MINT", "RECEIVE", "REFUND_IN"})
MINUS = frozenset({"WITHDRAW", "BURN", "PAYMENT", "REFUND_OUT"})
ZERO = frozenset({"HOLD", "RELEASE"})


class ContractViolation(Exception):
    """A payload that can never be applied. `error_class` is stable; `detail` names the field, not its value.

    Classes: empty, not_json, wrong_type, missing_field, too_long, bad_text, bad_amount, bad_time, out_of_range.
    """

    def __init__(self, error_class: str, detail: str) -> None:
        super().__init__(f"{error_class}: {detail}")
        self.error_class = error_class
        self.detail = detail


class LedgerEntry(NamedTuple):
    """One ledger row; the fields in the order of the store's columns. Times are UTC."""

    tx_id: str
    wallet_id: str
    entry_type: str
    amount: Decimal
    amount_signed: Decimal | None
    related_id: str | None
    related_type: str | None
    event_time: datetime
    created_at: datetime | None
    updated_at: datetime | None
    version: int


class PaymentOrder(NamedTuple):
    """One payment order; the fields in the order of the store's columns. Times are UTC."""

    order_id: str
    user_id: str | None
    merchant_name: str | None
    amount: Decimal
    status: str
    created_at: datetime
    updated_at: datetime | None
    version: int


Record = LedgerEntry | PaymentOrder

_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class _LedgerWire(msgspec.Struct, gc=False):
    tx_id: str | None = None
    wallet_id: str | None = None
    entry_type: str | None = None
    type: str | None = None
    amount: str | None = None
    amount_signed: str | None = None
    related_id: str | None = None
    related_type: str | None = None
    event_time: _Time | None = None
    source_created_at: _Time | None = None
    created_at: _Time | None = None
    updated_at: _Time | None = None
    version: int | None = None
    source_version: int | None = None


class _OrderWire(msgspec.Struct, gc=False):
    order_id: str | None = None
    user_id: str | None = None
    merchant_name: str | None = None
    amount: str | None = None
    status: str | None = None
    created_at: _Time | None = None
    updated_at: _Time | None = None
    version: int | None = None
    source_version: int | None = None


_Wire = TypeVar("_Wire", _LedgerWire, _OrderWire)
_ledger_decoder = msgspec.json.Decoder(_LedgerWire)
_order_decoder = msgspec.json.Decoder(_OrderWire)


def decode_ledger(raw: bytes | None) -> LedgerEntry:
    """One value of `ledger.entry.upserted`. Raises ContractViolation and nothing else."""
    wire = _parse(_ledger_decoder, raw)
    entry_type = _required("entry_type", wire.entry_type or wire.type, TEXT_LIMIT)
    amount = _amount("amount", wire.amount)
    if amount is None:
        raise ContractViolation("missing_field", "amount")
    signed = _amount("amount_signed", wire.amount_signed)
    event_time = _utc("event_time", wire.event_time or wire.source_created_at or wire.created_at)
    if event_time is None:
        raise ContractViolation("missing_field", "event_time")
    return LedgerEntry(
        _required("tx_id", wire.tx_id, ID_LIMIT),
        _required("wallet_id", wire.wallet_id, ID_LIMIT),
        entry_type,
        amount,
        signed_amount(entry_type, amount) if signed is None else signed,
        _text("related_id", wire.related_id, ID_LIMIT),
        _text("related_type", wire.related_type, TEXT_LIMIT),
        event_time,
        _utc("created_at", wire.created_at),
        _utc("updated_at", wire.updated_at),
        _version(wire.version if wire.version is not None else wire.source_version),
    )


def decode_order(raw: bytes | None) -> PaymentOrder:
    """One value of `payment.order.upserted`. Raises ContractViolation and nothing else."""
    wire = _parse(_order_decoder, raw)
    amount = _amount("amount", wire.amount)
    if amount is None:
        raise ContractViolation("missing_field", "amount")
    created_at = _utc("created_at", wire.created_at)
    if created_at is None:
        raise ContractViolation("missing_field", "created_at")
    return PaymentOrder(
        _required("order_id", wire.order_id, ID_LIMIT),
        _text("user_id", wire.user_id, TEXT_LIMIT),
        _text("merchant_name", wire.merchant_name, TEXT_LIMIT),
        amount,
        _required("status", wire.status, TEXT_LIMIT),
        created_at,
        _utc("updated_at", wire.updated_at),
        _version(wire.version if wire.version is not None else wire.source_version),
    )


def encode(record: Record) -> bytes:
    """The record as a message's value; absent fields are left out."""
    return msgspec.json.encode({name: value for name, value in record._asdict().items() if value is not None})


def key_of(record: Record) -> str:
    """The message's key, which is the store's primary key."""
    match record:
        case LedgerEntry():
            return record.tx_id
        case PaymentOrder():
            return record.order_id
        case _:
            assert_never(record)


def signed_amount(entry_type: str, amount: Decimal) -> Decimal | None:
    """The amount with the sign of its entry type; None for a type that has none defined."""
    if entry_type in MINUS:
        return -amount
    if entry_type in PLUS:
        return amount
    return Decimal(0) if entry_type in ZERO else None


def _parse(decoder: msgspec.json.Decoder[_Wire], raw: bytes | None) -> _Wire:
    if not raw:
        raise ContractViolation("empty", "the message has no value")
    try:
        wire = decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise ContractViolation("wrong_type", str(error)) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, OverflowError) as error:
        raise ContractViolation("not_json", type(error).__name__) from None
    # Only the escape can bring a NUL in: as a raw byte it is no JSON.
    if b"\\u0000" in raw:
        _refuse_nul(wire)
    return wire


def _refuse_nul(wire: msgspec.Struct) -> None:
    for name in wire.__struct_fields__:
        value = getattr(wire, name)
        if isinstance(value, str) and "\0" in value:
            raise ContractViolation("bad_text", f"{name} contains NUL")


def _required(name: str, value: str | None, limit: int) -> str:
    if not value:
        raise ContractViolation("missing_field", name)
    if len(value) > limit:
        raise ContractViolation("too_long", f"{name} has more than {limit} characters")
    return value


def _text(name: str, value: str | None, limit: int) -> str | None:
    if value is not None and len(value) > limit:
        raise ContractViolation("too_long", f"{name} has more than {limit} characters")
    return value


def _amount(name: str, value: str | None) -> Decimal | None:
    if value is None:
        return None
    if AMOUNT.fullmatch(value) is None:
        raise ContractViolation("bad_amount", f"{name} is not a decimal of NUMERIC(18,2)")
    return Decimal(value)


def _utc(name: str, value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo is UTC:
        return value
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ContractViolation("bad_time", f"{name} is outside the years 1 to 9999") from None


def _version(value: int | None) -> int:
    if value is None:
        return 0
    if not -VERSION_LIMIT <= value <= VERSION_LIMIT:
        raise ContractViolation("out_of_range", "version is beyond 64 bits")
    return value
