"""A chunk: what one transaction of the backfill writes, made from the rows of any source.

Owns the split of a chunk into rows for COPY, broken rows and rows left to the stream. Must not read a source
or write to a database; it runs in the reading thread, beside the merge of the chunk before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

import pyarrow as pa

from streamapp import columns
from streamapp.contract import (
    ContractViolation,
    PaymentOrder,
    Record,
    decode_ledger,
    decode_order,
)  # fmt: skip
from streamapp.entities import LEDGER, ORDERS, Entity
from streamapp.store import Envelope

DECODERS: Final[Mapping[str, Callable[[bytes], Record]]] = {ORDERS.table: decode_order, LEDGER.table: decode_ledger}


@dataclass(frozen=True)
class Part:
    """One file or table. `topic` names it in the DLQ; `total` rows where it is known or can be estimated.

    A checkpoint counts only while the part's `fingerprint` is the same.
    """

    name: str
    entity: Entity
    topic: str
    fingerprint: str
    total: int | None


@dataclass
class Chunk:
    """`position` is where the next chunk begins; `rows_read` = staged + broken + left."""

    position: str
    rows_read: int
    csv: list[memoryview] = field(default_factory=list)
    staged: int = 0
    broken: list[Envelope] = field(default_factory=list)
    left: int = 0


class SourceReader(Protocol):
    """A source: its parts, and a part's chunks from a position (empty text: the beginning)."""

    def parts(self) -> Sequence[Part]: ...

    def chunks(self, part: Part, position: str, rows_before: int) -> Iterator[Chunk]: ...


def event_time(record: Record) -> datetime:
    """The time that decides between backfill and stream."""
    if isinstance(record, PaymentOrder):
        return record.updated_at or record.created_at
    return record.event_time


def from_table(part: Part, table: pa.Table, numbers: pa.Int64Array, limit: datetime | None, position: str) -> Chunk:
    """A chunk of typed or text columns. `numbers` are the rows' places in the part."""
    checked = columns.check(part.entity, table, numbers)
    good = checked.good if limit is None else columns.before(part.entity, checked.good, limit)
    chunk = Chunk(position, table.num_rows, left=checked.good.num_rows - good.num_rows)
    if good.num_rows:
        chunk.csv.append(columns.to_csv(good))
        chunk.staged = good.num_rows
    if checked.doubtful:
        raws = columns.payloads(table, checked.doubtful)
        places = [numbers[i].as_py() for i in checked.doubtful]
        add_payloads(chunk, part, zip(places, raws, strict=True), limit)
    return chunk


def add_payloads(chunk: Chunk, part: Part, payloads: Iterable[tuple[int, bytes]], limit: datetime | None) -> None:
    """Decodes rows one by one through the contract; `payloads` are (place, JSON)."""
    decode = DECODERS[part.entity.table]
    records: list[Record] = []
    numbers: list[int] = []
    for place, raw in payloads:
        try:
            record = decode(raw)
        except ContractViolation as violation:
            chunk.broken.append(Envelope(part.topic, 0, place, None, raw, violation))
            continue
        if limit is not None and event_time(record) >= limit:
            chunk.left += 1
            continue
        records.append(record)
        numbers.append(place)
    add_records(chunk, part, records, numbers)


def add_records(chunk: Chunk, part: Part, records: Sequence[Record], numbers: Sequence[int]) -> None:
    """Rows that are right already; `numbers` are their places in the part."""
    if records:
        chunk.csv.append(columns.to_csv(columns.from_records(part.entity, records, numbers)))
        chunk.staged += len(records)
