"""The stream's books and the pairs' invariants, read from the environment's database.

Owns what must hold: per partition consumed = applied + duplicate + stale + DLQ, no offset passed over since the group
began, and the two sides of a complete pair cancel. Must not: write, or know how the consumer books.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from engine.kinds.records import active_cutover, read
from engine.providers.base import Database


@dataclass(frozen=True, slots=True)
class PartitionBooks:
    """One partition since the cutover gave its group the offset `start`; `applied_offset` is the next one to apply.

    `began_at` is where its books begin (None where they are older than that column), `skipped` what was passed over
    since.
    """

    topic: str
    partition: int
    start: int
    applied_offset: int
    consumed: int
    applied: int
    duplicate: int
    stale: int
    dlq: int
    conflict: int
    began_at: int | None
    skipped: int

    @property
    def unbooked(self) -> int:
        """Records that were consumed and became nothing; below zero where more was booked than consumed."""
        return self.consumed - (self.applied + self.duplicate + self.stale + self.dlq)

    @property
    def passed_over(self) -> int:
        """Offsets between the group's start and its position that nobody consumed."""
        return self.skipped + max(0, self._begin - self.start)

    @property
    def redelivered(self) -> int:
        """Records that were consumed again."""
        return self.consumed - (self.applied_offset - self._begin - self.skipped)

    @property
    def _begin(self) -> int:
        return self.start if self.began_at is None else self.began_at


@dataclass(frozen=True, slots=True)
class Books:
    """All partitions of the active cutover's group, and the pairs by their state.

    `unread` are partitions that the group has never booked; `unbalanced` complete pairs do not sum to zero.
    """

    group: str
    partitions: tuple[PartitionBooks, ...]
    unread: tuple[str, ...]
    pairs: Mapping[str, int]
    unbalanced: int

    @property
    def off(self) -> int:
        """By how much they are off, over all partitions and pairs; 0 where they hold."""
        return sum(abs(p.unbooked) + abs(p.passed_over) for p in self.partitions) + self.unbalanced


# Through to_jsonb: before the revision that brings a column, its value is simply not known.
_PROGRESS = sql.SQL("""
    SELECT topic, partition, applied_offset, consumed, applied, duplicate, stale, dlq, conflict,
           (to_jsonb(p) ->> 'began_at')::bigint, coalesce((to_jsonb(p) ->> 'passed_over')::bigint, 0)
    FROM bo.stream_progress p WHERE consumer_group = %(group)s ORDER BY topic, partition""")
_PAIRS = sql.SQL("""
    SELECT pairing_status, count(*), count(*) FILTER (WHERE pairing_status = 'COMPLETE' AND net_amount <> 0)
    FROM bo.payment_ledger_pairs GROUP BY 1 ORDER BY 1""")


def read_books(database: Database) -> Books | None:
    """The books of the active cutover's group; None where no cutover is recorded."""
    record = active_cutover(database)
    if record is None:
        return None
    found = read(database, _PROGRESS, {"group": record.group})
    partitions = tuple(PartitionBooks(topic, partition, record.start_offsets.get((topic, partition), 0), *numbers)
                       for topic, partition, *numbers in found)
    seen = {(p.topic, p.partition) for p in partitions}
    unread = tuple(f"{topic}/{partition}" for topic, partition in sorted(record.start_offsets)
                   if (topic, partition) not in seen)
    pairs = read(database, _PAIRS, {})
    return Books(record.group, partitions, unread, {str(state): int(count) for state, count, _ in pairs},
                 sum(int(off) for *_, off in pairs))


def unbalanced_pairs(database: Database) -> int:
    """Complete pairs whose two sides do not cancel."""
    return sum(int(off) for *_, off in read(database, _PAIRS, {}))
