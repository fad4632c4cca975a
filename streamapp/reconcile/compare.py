"""The comparison: both sides by segments of the key, only the differing ones by row, only the differing rows in full.

Owns the fence, the segments, the classes of a difference, and that memory stays flat. Must not read a format or write.

A segment is the rows whose key's hash ends in the same bits: it needs neither an index nor a collation that both sides
share. Each side counts its segments and sums their row hashes in one pass; where much differs, only those segments are
split again. What still differs is merged row by row in the order of the key, streamed from both sides.

The fence: rows stamped after what the stream has applied, less Δ, are in flight and left out on both sides. A row that
differs is looked at again without the fence, and is no difference where either side holds a newer one of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Final, NamedTuple, TypeVar

from psycopg import sql

from streamapp.reconcile.sides import Row, Side, folded
from streamapp.report import JobError

T = TypeVar("T")
CLASSES: Final = ("missing", "extra", "stale", "diverged")
REPAIRED: Final = ("missing", "stale")
_ROWS_A_SEGMENT: Final = 1_000
_MOST_BITS: Final = 13
_SPLIT_BITS: Final = 6
_FEW_ROWS: Final = 100_000
_BLOCKS: Final = 8_192
_PIECES: Final = 20
_LOOKED_UP: Final = 500


class Segment(NamedTuple):
    """What a side says of one segment: all rows, and those that the stream did not bring."""

    rows: int
    sum: int
    loaded: int
    loaded_sum: int


@dataclass
class Books:
    """One table's comparison. `streamed`: rows that the stream brought or renewed beyond the source."""

    source_rows: int = 0
    store_rows: int = 0
    segments: int = 0
    differing_segments: int = 0
    missing: int = 0
    extra: int = 0
    stale: int = 0
    diverged: int = 0
    in_flight: int = 0
    streamed: int = 0
    refused: int = 0

    @property
    def differences(self) -> int:
        return sum(getattr(self, name) for name in CLASSES)


@dataclass(frozen=True)
class Difference:
    """One row. `columns` are the names of those that differ, where both sides have it."""

    table: str
    key: str
    class_: str
    source: Row | None
    store: Row | None
    columns: tuple[str, ...] = ()


@dataclass
class Comparison:
    """One table's two sides, held against each other."""

    source: Side
    store: Side
    fence: datetime
    live: bool
    counted: Callable[[int], None]
    digest: Any = field(default_factory=hashlib.sha256)
    books: Books = field(default_factory=Books)

    def differences(self) -> Iterator[Difference]:
        """All differences in the order of the key; `books` and `digest` are whole when it has ended."""
        mask = 2 ** self._bits() - 1
        ours, theirs = self._both(lambda side: self._segments(side, mask, None))
        self.books.source_rows = sum(s.rows for s in theirs.values())
        self.books.store_rows = sum(s.rows for s in ours.values())
        self.books.refused = self.source.refused
        self.books.segments = len(ours.keys() | theirs.keys())
        differing = self._differing(theirs, ours)
        self.books.differing_segments = len(differing)
        while differing and _rows(differing, theirs, ours) > _FEW_ROWS and mask < 2**30:
            before = _rows(differing, theirs, ours)
            old, mask = mask, (mask + 1) * 2**_SPLIT_BITS - 1
            wanted = (old, sorted(differing))
            ours, theirs = self._both(lambda side, m=mask, w=wanted: self._segments(side, m, w))  # type: ignore[misc]
            differing = self._differing(theirs, ours)
            if _rows(differing, theirs, ours) > before / 2:
                break
        if differing:
            keys = self._unequal(mask, sorted(differing))
            for some in batched(keys, _LOOKED_UP):
                yield from self._classified(some)

    def _bits(self) -> int:
        rows = max(self.source.rows, self.store.rows, 1)
        return min(max((rows // _ROWS_A_SEGMENT).bit_length(), 0), _MOST_BITS)

    def _both(self, work: Callable[[Side], dict[int, Segment]]) -> tuple[dict[int, Segment], dict[int, Segment]]:
        """(store, source), read at the same time."""
        with ThreadPoolExecutor(2, "scan") as pool:
            theirs, ours = pool.submit(work, self.source), pool.submit(work, self.store)
            return ours.result(), theirs.result()

    def _segments(self, side: Side, mask: int, within: tuple[int, list[int]] | None) -> dict[int, Segment]:
        found: dict[int, list[int]] = {}
        refused = 0
        for where in _pieces(side):
            query = sql.SQL(
                "SELECT CASE WHEN valid THEN {bucket} END, count(*), sum(hash){loaded} "
                "FROM {relation} WHERE (stamp <= {fence} OR NOT valid) AND {within} GROUP BY 1"
            ).format(
                bucket=side.bucket(mask), relation=side.relation(where), fence=sql.Literal(self.fence),
                within=_within(side, within), loaded=_LOADED if side.streams else sql.SQL(""),
            )  # fmt: skip
            rows = 0
            for bucket, *numbers in side.conn.execute(query):
                # A side without a stream is all loaded; its hashes are not computed twice to say so.
                numbers += [] if side.streams else numbers
                rows += numbers[0]
                if bucket is None:
                    refused += numbers[0]
                    continue
                known = found.setdefault(bucket, [0, 0, 0, 0])
                for place, number in enumerate(numbers):
                    known[place] += int(number or 0)
            self.counted(rows)
        if within is None:
            side.refused += refused
        return {bucket: Segment(n, folded(s), b, folded(t)) for bucket, (n, s, b, t) in found.items()}

    def _differing(self, theirs: dict[int, Segment], ours: dict[int, Segment]) -> set[int]:
        """The segments in which the source is neither the whole store nor, for a source that stands still, its loaded
        part; what the stream brought to the equal ones is counted."""
        differing = set()
        for bucket in ours.keys() | theirs.keys():
            source, store = theirs.get(bucket, _NOTHING), ours.get(bucket, _NOTHING)
            if source[:2] == store[:2]:
                continue
            if not self.live and source[:2] == store[2:]:
                self.books.streamed += store.rows - store.loaded
            else:
                differing.add(bucket)
        return differing

    def _unequal(self, mask: int, buckets: list[int]) -> Iterator[str]:
        """The keys whose rows are not the same on both sides, in order; a merge of two sorted streams."""
        ours, theirs = _sorted(self.store, self.fence, mask, buckets), _sorted(self.source, self.fence, mask, buckets)
        a, b = next(theirs, None), next(ours, None)
        last: str | None = None
        while a is not None or b is not None:
            if a is not None and a[0] == last:
                raise JobError("source-key", f"{self.source.entity.key} is not unique in the source",
                               "Rows are known by their key.")  # fmt: skip
            if b is None or (a is not None and a[0] < b[0]):
                assert a is not None
                yield a[0]
                last, a = a[0], next(theirs, None)
            elif a is None or b[0] < a[0]:
                yield b[0]
                b = next(ours, None)
            else:
                if a[1] != b[1]:
                    yield a[0]
                last, a, b = a[0], next(theirs, None), next(ours, None)

    def _classified(self, keys: tuple[str, ...]) -> Iterator[Difference]:
        theirs, ours = self.source.of_keys(keys), self.store.of_keys(keys)
        for key in keys:
            source, store = theirs.get(key), ours.get(key)
            name = self._class(source, store)
            if name is None:
                continue
            setattr(self.books, name, getattr(self.books, name) + 1)
            if name not in CLASSES:
                continue
            table = self.store.entity.table
            self.digest.update(f"{table}\0{key}\0{name}\0{source and source.hash}\n".encode())
            yield Difference(table, key, name, source, store, self._columns(source, store))

    def _class(self, source: Row | None, store: Row | None) -> str | None:
        """The field of Books that counts the row; None where it is equal after all."""
        if any(row is not None and row.stamp > self.fence for row in (source, store)):
            return "in_flight"
        beyond = store is not None and store.streamed and not self.live
        if source is None or store is None:
            return "missing" if store is None else "streamed" if beyond else "extra"
        if source.hash == store.hash:
            return None
        theirs, ours = (source.version, source.stamp), (store.version, store.stamp)
        if theirs > ours:
            return "stale"
        return "streamed" if theirs < ours and beyond else "diverged"

    def _columns(self, source: Row | None, store: Row | None) -> tuple[str, ...]:
        if source is None or store is None:
            return ()
        both = zip(self.store.entity.columns, source.values, store.values, strict=True)
        return tuple(name for name, one, other in both if one != other)


_NOTHING: Final = Segment(0, 0, 0, 0)
_LOADED: Final = sql.SQL(", count(*) FILTER (WHERE NOT streamed), sum(hash) FILTER (WHERE NOT streamed)")


def batched(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """The items by so many, the last ones by fewer."""
    left = iter(items)
    while some := tuple(islice(left, size)):
        yield some


def _rows(buckets: set[int], *sides: dict[int, Segment]) -> int:
    return max(sum(side.get(bucket, _NOTHING).rows for bucket in buckets) for side in sides)


def _within(side: Side, within: tuple[int, list[int]] | None) -> sql.Composable:
    if within is None:
        return sql.SQL("true")
    mask, buckets = within
    return sql.SQL("valid AND {} IN (SELECT unnest({}::int8[]))").format(side.bucket(mask), sql.Literal(buckets))


def _pieces(side: Side) -> Iterator[sql.Composable]:
    """The table by ranges of its blocks, so that one knows how far it is; the last has no end."""
    step = max(side.blocks // _PIECES, _BLOCKS)
    for first in range(0, max(side.blocks, 1), step):
        parts = []
        if first:
            parts.append(sql.SQL("ctid >= {}::tid").format(sql.Literal(f"({first},0)")))
        if first + step < side.blocks:
            parts.append(sql.SQL("ctid < {}::tid").format(sql.Literal(f"({first + step},0)")))
        yield sql.SQL(" AND ").join(parts) if parts else sql.SQL("true")


def _sorted(side: Side, fence: datetime, mask: int, buckets: list[int]) -> Iterator[tuple[str, int]]:
    """(key, hash) of the rows of these segments in the order of the key's bytes, through a cursor of the server."""
    query = sql.SQL(
        'SELECT {key}, hash FROM {relation} WHERE valid AND stamp <= {fence} AND {within} ORDER BY {key} COLLATE "C"'
    ).format(key=side.key, relation=side.relation(), fence=sql.Literal(fence), within=_within(side, (mask, buckets)))
    with side.conn.cursor(name=f"reconcile_{side.entity.stage}") as cursor:
        cursor.itersize = 10_000
        cursor.execute(query)
        for key, number in cursor:
            yield key, folded(number)
