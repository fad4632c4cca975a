"""From a source's blocks of rows to chunks, each of which is one transaction of the backfill.

Owns the split of a block into rows for COPY, broken rows and rows left to the stream. Must not read a source
or write to a database; it runs in the reading thread, beside the merge of the chunk before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import pyarrow as pa

from streamapp import columns
from streamapp.contract import (
    ContractViolation,
    PaymentOrder,
    Record,
    decode_ledger,
    decode_order,
    encode,
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
class Block:
    """Consecutive rows as a source gives them, in whichever form it has them; a place is a row's number.

    `position` is where the next block begins. `rows` counts all of them.
    """

    position: str
    rows: int
    table: pa.Table | None = None
    numbers: Sequence[int] = ()
    payloads: Sequence[tuple[int, bytes]] = ()
    records: Sequence[tuple[int, Record]] = ()
    broken: list[Envelope] = field(default_factory=list)


@dataclass
class Chunk:
    """What one transaction writes; `rows_read` = staged + broken + left."""

    position: str
    rows_read: int
    csv: list[memoryview] = field(default_factory=list)
    staged: int = 0
    broken: list[Envelope] = field(default_factory=list)
    left: int = 0
    newest: datetime | None = None

    def saw(self, stamp: datetime | None) -> None:
        """Of the rows read, the latest event time is kept."""
        if stamp is not None and (self.newest is None or stamp > self.newest):
            self.newest = stamp


@dataclass(frozen=True)
class Ownership:
    """The event times that a backfill owns: before `limit` (None: all), and those from `future` on, which lie."""

    limit: datetime | None = None
    future: datetime | None = None

    def holds(self, stamp: datetime) -> bool:
        return self.limit is None or stamp < self.limit or (self.future is not None and stamp >= self.future)


class SourceReader(Protocol):
    """A source: its parts, and a part's blocks from a position (empty text: the beginning).

    `workers`: how many parts may be read at once. `snapshot`: what names the state that is read, as JSON, and where the
    source has a clock `ahead_s`, by how many seconds it is ahead of this machine's, give or take `within_s`.
    """

    workers: int

    def snapshot(self) -> Mapping[str, Any]: ...

    def parts(self) -> Sequence[Part]: ...

    def blocks(self, part: Part, position: str, rows_before: int) -> Iterator[Block]: ...


def event_time(record: Record) -> datetime:
    """The time that decides between backfill and stream."""
    if isinstance(record, PaymentOrder):
        return record.updated_at or record.created_at
    return record.event_time


def chunk_of(part: Part, block: Block, owns: Ownership) -> Chunk:
    """The block, checked; rows that the backfill does not own are counted and left to the stream."""
    chunk = Chunk(block.position, block.rows, broken=list(block.broken))
    payloads = list(block.payloads)
    if block.table is not None:
        payloads += _table(chunk, part, block.table, block.numbers, owns)
    records = list(block.records)
    decode = DECODERS[part.entity.table]
    for place, raw in payloads:
        try:
            records.append((place, decode(raw)))
        except ContractViolation as violation:
            chunk.broken.append(Envelope(part.topic, 0, place, None, raw, violation))
    chunk.saw(max((event_time(r) for _, r in records), default=None))
    owned = [(p, r) for p, r in records if owns.holds(event_time(r))]
    chunk.left += len(records) - len(owned)
    if owned:
        chunk.csv.append(columns.to_csv(columns.from_records(part.entity, owned)))
        chunk.staged += len(owned)
    return chunk


def raw_rows(block: Block) -> Iterator[bytes]:
    """The block's rows as message values, broken ones with the bytes they have."""
    if block.table is not None:
        yield from columns.payloads(block.table, range(block.table.num_rows))
    yield from (raw for _, raw in block.payloads)
    yield from (encode(record) for _, record in block.records)
    yield from (envelope.payload or b"" for envelope in block.broken)


def _table(
    chunk: Chunk, part: Part, table: pa.Table, numbers: Sequence[int], owns: Ownership
) -> list[tuple[int, bytes]]:
    """Stages what is surely right; gives back the doubtful rows."""
    checked = columns.check(part.entity, table, pa.array(numbers, pa.int64()))
    chunk.saw(columns.newest(part.entity, checked.good))
    good = checked.good
    if owns.limit is not None:
        good = columns.before(part.entity, good, owns.limit, owns.future)
    chunk.left += checked.good.num_rows - good.num_rows
    if good.num_rows:
        chunk.csv.append(columns.to_csv(good))
        chunk.staged += good.num_rows
    if not checked.doubtful:
        return []
    raws = columns.payloads(table, checked.doubtful)
    return [(numbers[i], raw) for i, raw in zip(checked.doubtful, raws, strict=True)]
