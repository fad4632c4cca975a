"""The contract for whole columns: which rows of an Arrow table are right as they are, and their CSV for COPY.

Owns the vectorised form of the rules of `streamapp.contract`. It may only say "surely right": every row it
doubts is handed to the contract's own decoder, which decides. Must not write anything anywhere.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv as pa_csv

from streamapp.contract import ID_LIMIT, MINUS, PLUS, TEXT_LIMIT, ZERO, Record
from streamapp.entities import Entity

# The stubs cannot follow columns whose type is only known at run time.
pc: Final[Any] = pyarrow.compute
MONEY: Final = pa.decimal128(18, 2)
TIME: Final = pa.timestamp("us", tz="UTC")
ALIASES: Final = {
    "entry_type": ("type",),
    "event_time": ("source_created_at", "created_at"),
    "version": ("source_version",),
}
REQUIRED: Final = frozenset({"tx_id", "order_id", "wallet_id", "entry_type", "status", "amount", "event_time"})
_IDS: Final = frozenset({"tx_id", "order_id", "wallet_id", "related_id"})
_AMOUNT = r"^-?[0-9]{1,16}(\.[0-9]{1,2})?$"
_VERSION = r"^-?[0-9]{1,18}$"
_TIME = r"^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?Z$"
_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


@dataclass(frozen=True)
class Checked:
    """`good`: rows in the store's columns, with their source numbers as src_offset. `doubtful`: row indices."""

    good: pa.Table
    doubtful: list[int]


def check(entity: Entity, table: pa.Table, numbers: pa.Int64Array) -> Checked:
    """Splits a table of contract columns; `numbers` are the rows' places in their source (int64)."""
    columns: dict[str, Any] = {}
    right: Any = None
    for name in entity.columns:
        column, mask = _column(entity, table, name)
        columns[name] = column
        right = mask if right is None else pc.and_(right, mask)
    if "amount_signed" in columns:
        columns["amount_signed"] = _signed(columns)
    columns["src_partition"] = pa.nulls(len(numbers), pa.int32())
    columns["src_offset"] = numbers
    good = pa.table(columns)
    if pc.all(right, min_count=0).as_py():
        return Checked(good, [])
    doubtful = pc.indices_nonzero(pc.invert(right)).to_pylist()
    return Checked(good.filter(right), doubtful)


def before(entity: Entity, good: pa.Table, limit: datetime, future: datetime | None = None) -> pa.Table:
    """The rows whose event time is earlier than `limit`, or at or after `future`."""
    stamps = _event_time(entity, good)
    owned = pc.less(stamps, pa.scalar(limit, TIME))
    return good.filter(owned if future is None else pc.or_(owned, pc.greater_equal(stamps, pa.scalar(future, TIME))))


def newest(entity: Entity, good: pa.Table) -> datetime | None:
    """The latest event time, None without rows."""
    found: datetime | None = pc.max(_event_time(entity, good)).as_py()
    return found


def to_csv(good: pa.Table) -> memoryview:
    """CSV for COPY in a session whose time zone is UTC: text is quoted, null is an empty field.

    Times go without their zone: Arrow writes them twenty times faster so.
    """
    sink = io.BytesIO()
    naive = pa.timestamp("us")
    plain = [column.cast(naive) if column.type == TIME else column for column in good.columns]
    pa_csv.write_csv(pa.table(plain, names=good.column_names), sink, pa_csv.WriteOptions(include_header=False))
    return sink.getbuffer()


def from_records(entity: Entity, records: Sequence[tuple[int, Record]]) -> pa.Table:
    """Records that the contract has decoded, each with its place, in the store's columns."""
    numbers, rows = zip(*records, strict=True)
    columns = {
        name: pa.array(values, _TYPE[_kind(entity, name)])
        for name, values in zip(entity.columns, zip(*rows, strict=True), strict=True)
    }
    columns["src_partition"] = pa.nulls(len(numbers), pa.int32())
    columns["src_offset"] = pa.array(numbers, pa.int64())
    return pa.table(columns)


def payloads(table: pa.Table, indices: Iterable[int]) -> list[bytes]:
    """The doubtful rows as the JSON that the contract's decoder reads, and that the DLQ keeps."""
    taken = table.take(pa.array(indices, pa.int64()))
    names = taken.column_names
    columns = [_plain(name, taken[name]) for name in names]
    return [
        msgspec.json.encode({name: value for name, value in zip(names, row, strict=True) if value is not None})
        for row in zip(*columns, strict=True)
    ]


def _plain(name: str, column: Any) -> list[Any]:
    """A column's cells as JSON can say them."""
    try:
        values = column.to_pylist()
    except (ValueError, OverflowError):
        # Times beyond what Python can hold: as numbers, which the contract refuses.
        values = column.cast(pa.int64(), safe=False).to_pylist()
    if pa.types.is_decimal(column.type):
        # A decimal of a wider scale says the same amount with more zeros.
        return [None if v is None else str(round(v, 2) if v == round(v, 2) else v) for v in values]
    if pa.types.is_string(column.type):
        return [_version_of(v) for v in values] if name in ("version", "source_version") else values
    return [v if isinstance(v, str | int | float | bool | datetime | None) else str(v) for v in values]


def _version_of(value: str | None) -> str | int | None:
    """A CSV has no numbers: its version is one where it looks like one."""
    return int(value) if value and len(value) < 40 and re.fullmatch("-?[0-9]+", value) else value


def _event_time(entity: Entity, good: pa.Table) -> Any:
    if entity.key == "tx_id":
        return good["event_time"]
    return pc.coalesce(good["updated_at"], good["created_at"])


def _column(entity: Entity, table: pa.Table, name: str) -> tuple[Any, Any]:
    """The column in the store's type (null where doubtful) and the mask of rows that are surely right."""
    rows = table.num_rows
    kind = _kind(entity, name)
    found = [table[n] for n in (name, *ALIASES.get(name, ())) if n in table.column_names]
    try:
        converted = [_CONVERT[kind](_simple(column), name) for column in found]
        value = pc.coalesce(*(v for v, _ in converted)) if converted else pa.nulls(rows, _TYPE[kind])
        mask = _all([m for _, m in converted], rows)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.nulls(rows, _TYPE[kind]), _constant(False, rows)
    if name in REQUIRED or (name == "created_at" and entity.key == "order_id"):
        mask = pc.and_(mask, pc.is_valid(value))
    if name == "version":
        value = pc.fill_null(value, 0)
    return value, mask


def _kind(entity: Entity, name: str) -> str:
    if name in ("amount", "amount_signed", "version"):
        return "version" if name == "version" else "money"
    return "time" if entity.columns[name] == "timestamptz" else "text"


def _simple(column: Any) -> Any:
    """Without chunks, dictionaries and the wide variants of strings."""
    array = column.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        array = array.cast(pa.string())
    return array


def _text(array: Any, name: str) -> tuple[Any, Any]:
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), pa.string()), _constant(True, len(array))
    _expect(pa.types.is_string(array.type))
    length = pc.utf8_length(array)
    mask = pc.less_equal(length, ID_LIMIT if name in _IDS else TEXT_LIMIT)
    if name in REQUIRED:
        mask = pc.and_(mask, pc.greater(length, 0))
    mask = pc.and_not(mask, pc.match_substring(array, "\0"))
    return array, _null_is_right(mask)


def _money(array: Any, _: str) -> tuple[Any, Any]:
    kind = array.type
    if pa.types.is_null(kind):
        return pa.nulls(len(array), MONEY), _constant(True, len(array))
    if pa.types.is_decimal(kind):
        _expect(kind.scale <= 2 and kind.precision - kind.scale <= 16)
        return array.cast(MONEY), _constant(True, len(array))
    return _parsed(array, _AMOUNT, MONEY)


def _time(array: Any, _: str) -> tuple[Any, Any]:
    kind = array.type
    if pa.types.is_null(kind):
        return pa.nulls(len(array), TIME), _constant(True, len(array))
    if pa.types.is_timestamp(kind):
        # Without a zone the contract refuses; finer than a microsecond is rounded by its decoder.
        _expect(kind.tz is not None)
        value, mask = array.cast(TIME), _constant(True, len(array))
    else:
        value, mask = _parsed(array, _TIME, TIME)
    inside = pc.and_(pc.greater_equal(value, pa.scalar(_FIRST, TIME)), pc.less_equal(value, pa.scalar(_LAST, TIME)))
    return value, pc.and_(mask, _null_is_right(inside))


def _version(array: Any, _: str) -> tuple[Any, Any]:
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), pa.int64()), _constant(True, len(array))
    if pa.types.is_integer(array.type):
        return array.cast(pa.int64()), _constant(True, len(array))
    return _parsed(array, _VERSION, pa.int64())


def _parsed(array: Any, pattern: str, kind: Any) -> tuple[Any, Any]:
    """A text column in its real type: what does not match is null, and doubtful."""
    _expect(pa.types.is_string(array.type))
    mask = _null_is_right(pc.match_substring_regex(array, pattern))
    clean = pc.if_else(mask, array, pa.scalar(None, pa.string()))
    return clean.cast(kind), mask


def _signed(columns: dict[str, Any]) -> Any:
    """amount_signed as given, else by the sign of the entry type."""
    given = columns["amount_signed"]
    if given.null_count == 0:
        return given
    kind, amount = columns["entry_type"], columns["amount"]
    sets = [pc.is_in(kind, value_set=pa.array(sorted(names))) for names in (PLUS, MINUS, ZERO)]
    zero = pa.scalar(0, pa.int32()).cast(MONEY)
    derived = pc.case_when(pc.make_struct(*sets), amount, pc.negate(amount), zero)
    return pc.coalesce(given, derived)


def _expect(condition: bool) -> None:
    if not condition:
        raise pa.ArrowInvalid("not a column of this kind")


def _null_is_right(mask: Any) -> Any:
    return pc.fill_null(mask, True)


def _constant(value: bool, rows: int) -> Any:
    return pa.repeat(pa.scalar(value), rows)


def _all(masks: list[Any], rows: int) -> Any:
    result = _constant(True, rows)
    for mask in masks:
        result = pc.and_(result, mask)
    return result


_TYPE: Final[dict[str, Any]] = {
    "text": pa.string(), "money": MONEY, "time": TIME, "version": pa.int64(),
}  # fmt: skip
_CONVERT: Final[dict[str, Callable[[Any, str], tuple[Any, Any]]]] = {
    "text": _text, "money": _money, "time": _time, "version": _version,
}  # fmt: skip
