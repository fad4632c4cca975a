"""The store: one road into the tables for stream and backfill, and the one total order that decides.

Owns staging, merging, dead letters and stream progress. Must not decode, and must not know Kafka or files.
A batch is one transaction: binary COPY into temporary staging tables, one merge an entity, and the books.

The order is (version, updated_at or event_time/created_at, row_hash); the greater row stays, so arrival never
decides. Two writers at once are safe: keys are locked in sorted order, orders before ledger entries, so they
cannot deadlock, and ON CONFLICT compares with the row as it is once its lock is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from streamapp.contract import ContractViolation, PaymentOrder, Record
from streamapp.entities import ENTITIES, LEDGER, ORDERS, Entity

Connection = AsyncConnection[TupleRow]


class Envelope(NamedTuple):
    """One record as it was taken from its place; `body` is the record or why it is none."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    payload: bytes | None
    body: Record | ContractViolation


@dataclass
class Counts:
    """Books of one partition. consumed = applied + duplicate + stale + dlq, always.

    `conflict` counts records of the same version and other content, whether they were applied or stale.
    """

    consumed: int = 0
    applied: int = 0
    duplicate: int = 0
    stale: int = 0
    conflict: int = 0
    dlq: int = 0


@dataclass(frozen=True)
class Watermark:
    """How far a partition is. Both offsets are exclusive: the next one to apply, and the log's end.

    `caught_up_at`: all that was appended up to then is applied. What is None is not known yet: a row that is there
    keeps what it says, and a new one begins with the offset that is applied, caught up now.
    """

    applied_offset: int
    end_offset: int | None
    caught_up_at: datetime | None = None


TopicPartition = tuple[str, int]


@dataclass(frozen=True)
class Progress:
    """What a consumer group books together with a batch, for each of its partitions."""

    group: str
    watermarks: Mapping[TopicPartition, Watermark] = field(default_factory=dict)


async def prepare(conn: Connection) -> None:
    """Once a connection, before anything else: autocommit, staging tables, memory to sort a large batch.

    With autocommit a transaction lasts exactly as long as its `async with`, never longer by accident.
    """
    await conn.set_autocommit(True)
    await conn.execute("SET work_mem = '64MB'")
    await conn.execute("SET TimeZone = 'UTC'")
    for entity in ENTITIES:
        await conn.execute(entity.stage_sql().encode())


async def apply_batch(
    conn: Connection, envelopes: Sequence[Envelope], progress: Progress, src: str = "stream"
) -> dict[TopicPartition, Counts]:
    """Writes a batch and its books in one transaction; `conn` has been prepared.

    On any exception nothing is written, and the same batch may be given again. One topic holds one entity.
    """
    books, rows, topics, broken = _sorted_out(envelopes, progress)
    async with conn.transaction():
        for entity in ENTITIES:
            if staged := rows[entity.stage]:
                await copy_rows(conn, entity, staged)
                for number, found in (await merge(conn, entity, src, len(staged))).items():
                    _add(books[topics[entity.stage], number or 0], found)
        await write_dlq(conn, broken)
        await _write_progress(conn, progress, books)
    return books


def _sorted_out(
    envelopes: Sequence[Envelope], progress: Progress
) -> tuple[dict[TopicPartition, Counts], dict[str, list[tuple[Any, ...]]], dict[str, str], list[Envelope]]:
    """A batch by where it goes: its first books, the rows and the topic of each stage, and what is broken."""
    books: dict[TopicPartition, Counts] = {place: Counts() for place in progress.watermarks}
    rows: dict[str, list[tuple[Any, ...]]] = {entity.stage: [] for entity in ENTITIES}
    topics: dict[str, str] = {}
    broken: list[Envelope] = []
    for envelope in envelopes:
        topic, partition, offset, _, _, body = envelope
        counts = books.get((topic, partition))
        if counts is None:
            counts = books[topic, partition] = Counts()
        counts.consumed += 1
        if isinstance(body, ContractViolation):
            counts.dlq += 1
            broken.append(envelope)
            continue
        stage = ORDERS.stage if isinstance(body, PaymentOrder) else LEDGER.stage
        topics[stage] = topic
        rows[stage].append((*body, partition, offset))
    return books, rows, topics, broken


async def copy_rows(conn: Connection, entity: Entity, rows: Iterable[tuple[Any, ...]]) -> None:
    """Binary COPY into the entity's stage; a row is the record, its partition and its offset."""
    async with conn.cursor() as cursor, cursor.copy(entity.copy_sql("BINARY").encode()) as copy:
        copy.set_types(
            [*(kind.split(" ")[0] for kind in entity.columns.values()), "int4", "int8"],
        )
        for row in rows:
            await copy.write_row(row)


async def copy_csv(conn: Connection, entity: Entity, data: bytes | memoryview) -> None:
    """COPY of rows in CSV into the entity's stage, in the same columns as `copy_rows`."""
    async with conn.cursor() as cursor, cursor.copy(entity.copy_sql("CSV").encode()) as copy:
        await copy.write(data)


async def merge(conn: Connection, entity: Entity, src: str, staged: int) -> dict[int | None, Counts]:
    """Merges the `staged` rows of the stage; what became of them by src_partition (None: it has none)."""
    result: dict[int | None, Counts] = {}
    cursor = await conn.execute(entity.merge_sql().encode(), {"src": src})
    for partition, applied, conflict in await cursor.fetchall():
        result[partition] = Counts(applied=applied, conflict=conflict)
    if sum(counts.applied for counts in result.values()) == staged:
        return result
    # Some did not win. Every key is locked by now, so what is stored is what they lost against.
    cursor = await conn.execute(entity.losers_sql().encode())
    for partition, same, other, conflict in await cursor.fetchall():
        counts = result.setdefault(partition, Counts())
        counts.duplicate = same - counts.applied
        counts.stale = other
        counts.conflict += conflict
    return result


async def write_dlq(conn: Connection, broken: Sequence[Envelope]) -> None:
    """Keeps broken records with their bytes; one that is there already stays as it is.

    A place can come to hold another record (a hub made anew begins at offset 0 again, a file is replaced by one
    of the same name): that one takes the row over, unresolved.
    """
    if not broken:
        return
    rows = [
        (e.topic, e.partition, e.offset, e.key, e.payload, e.body.error_class, e.body.detail)
        for e in broken
        if isinstance(e.body, ContractViolation)
    ]
    columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
    await conn.execute(_DLQ_SQL, columns)


# One row a place even where a batch names it twice, since a statement updates a row once.
_DLQ_SQL: Final = b"""
INSERT INTO bo.consumer_dlq_events AS e (topic, partition, "offset", key, payload, error_class, error_detail)
SELECT DISTINCT ON (t, p, o) *
FROM unnest(%b::text[], %b::int4[], %b::int8[], %b::bytea[], %b::bytea[], %b::text[], %b::text[])
    AS u(t, p, o, k, v, c, d)
ORDER BY t, p, o
ON CONFLICT (topic, partition, "offset") DO UPDATE SET
    key = EXCLUDED.key, payload = EXCLUDED.payload, error_class = EXCLUDED.error_class,
    error_detail = EXCLUDED.error_detail, created_at = now(), resolved_at = NULL
WHERE (e.key, e.payload) IS DISTINCT FROM (EXCLUDED.key, EXCLUDED.payload)
"""


async def heartbeat(conn: Connection, progress: Progress) -> None:
    """Books watermarks alone, while there is nothing to apply."""
    async with conn.transaction():
        await _write_progress(conn, progress, {})


async def _write_progress(conn: Connection, progress: Progress, books: Mapping[TopicPartition, Counts]) -> None:
    rows = []
    for (topic, partition), mark in sorted(progress.watermarks.items()):
        c = books.get((topic, partition), Counts())
        rows.append(
            (topic, partition, mark.applied_offset, mark.end_offset, mark.caught_up_at,
             c.consumed, c.applied, c.duplicate, c.stale, c.conflict, c.dlq)
        )  # fmt: skip
    if not rows:
        return
    columns: list[Any] = [list(column) for column in zip(*rows, strict=True)]
    await conn.execute(_PROGRESS_SQL, [*columns, progress.group])


_BOOKED: Final = ("consumed", "applied", "duplicate", "stale", "conflict", "dlq")
# What is applied stays applied: a redelivery from an older offset never takes the mark back. A watermark of the
# future would hide every lag up to then. The row that is there speaks where the consumer does not know yet: so a
# restart while behind shows no lag as gone, and a partition that nobody has read counts from when it was first owned.
# An offset by which the position moved on, and that was not consumed with it, was passed over.
_PROGRESS_SQL: Final = f"""
INSERT INTO bo.stream_progress AS p
    (consumer_group, topic, partition, applied_offset, end_offset, caught_up_at, {", ".join(_BOOKED)}, began_at)
SELECT g, t, n, a, coalesce(e, greatest(a, old.end_offset)), least(coalesce(w, old.caught_up_at, now()), now()),
       c1, c2, c3, c4, c5, c6, a - c1
FROM unnest(%s::text[], %s::int4[], %s::int8[], %s::int8[], %s::timestamptz[],
            %s::int8[], %s::int8[], %s::int8[], %s::int8[], %s::int8[], %s::int8[])
    AS u(t, n, a, e, w, c1, c2, c3, c4, c5, c6)
CROSS JOIN (SELECT %s::text) AS one(g)
LEFT JOIN bo.stream_progress old ON (old.consumer_group, old.topic, old.partition) = (g, t, n)
ORDER BY t, n
ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET
    applied_offset = greatest(p.applied_offset, EXCLUDED.applied_offset),
    end_offset = EXCLUDED.end_offset, caught_up_at = EXCLUDED.caught_up_at, updated_at = now(),
    passed_over = p.passed_over + greatest(0, EXCLUDED.applied_offset - p.applied_offset - EXCLUDED.consumed),
    {", ".join(f"{name} = p.{name} + EXCLUDED.{name}" for name in _BOOKED)}
""".encode()  # noqa: S608 - the names are the constants above


def _add(books: Counts, found: Counts) -> None:
    books.applied += found.applied
    books.duplicate += found.duplicate
    books.stale += found.stale
    books.conflict += found.conflict
