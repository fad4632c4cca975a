"""The reconcile job: source against store, and, where somebody has seen the differences and said so, their repair.

Owns the order of reading (watermark, source, store: so what is stamped up to the fence is in the store by then), the
job's lines, and the repair, which writes by the store's one road and removes nothing. Needs the consumer's login, and
of a source database no more than to read. SIGTERM ends it at once; nothing is left of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict
from datetime import datetime
from typing import IO, Any, Final

import psycopg

from streamapp import report, store
from streamapp.backfill.postgres import PostgresSource
from streamapp.backfill.run import open_source, peak_mib
from streamapp.reconcile.compare import CLASSES, REPAIRED, Comparison, Difference, batched
from streamapp.reconcile.sides import Connection, Row, Side, database_sides, staged_sides, store_side
from streamapp.reconcile.spec import Reconcile, read
from streamapp.report import JobError
from streamapp.settings import postgres_settings

_SIGTERM_EXIT: Final = 143
_REPAIRED_AT_ONCE: Final = 5_000
_FENCE: Final = "SELECT min(caught_up_at) FROM bo.stream_progress WHERE consumer_group = %s"


def main(_: list[str]) -> int:
    spec = read(os.environ)
    conninfo = postgres_settings(os.environ).conninfo("txplan-reconcile")
    stopped = _Stop()
    try:
        _Run(spec, conninfo, stopped).run()
    except psycopg.Error as problem:
        if stopped.asked.is_set():
            return _SIGTERM_EXIT
        what = problem.diag.message_primary if problem.sqlstate and not problem.sqlstate.startswith("22") else ""
        detail = f"{problem.sqlstate or type(problem).__name__} {what}".strip()
        raise JobError("database", "a database refused, or went away", detail) from None
    return _SIGTERM_EXIT if stopped.asked.is_set() else 0


class _Stop:
    """SIGTERM cancels what both databases are at."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.connections: list[Connection] = []
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked.set()
        for conn in self.connections:
            conn.cancel_safe(timeout=5)

    def check(self) -> None:
        if self.asked.is_set():
            raise psycopg.errors.QueryCanceled


class _Pace:
    """Rows counted of all that there are to count, and the time left at this pace."""

    def __init__(self, stop: _Stop) -> None:
        self._stop, self._lock = stop, threading.Lock()
        self._done, self._total, self._note = 0, 0, ""
        self._started = self._told = time.monotonic()

    def stage(self, note: str, total: int) -> None:
        self._done, self._total, self._note, self._started = 0, total, note, time.monotonic()

    def add(self, rows: int) -> None:
        self._stop.check()
        with self._lock:
            self._done += rows
            now = time.monotonic()
            if now - self._told < 0.5:
                return
            self._told = now
            pace = self._done / max(now - self._started, 0.001)
            left = max(self._total - self._done, 0) / pace if pace and self._total else None
            total = max(self._total, self._done) or None
            report.progress(self._done, total, eta_s=None if left is None else round(left, 1), note=self._note)


class _Run:
    def __init__(self, spec: Reconcile, conninfo: str, stop: _Stop) -> None:
        self._spec, self._conninfo, self._stop, self._pace = spec, conninfo, stop, _Pace(stop)
        self._samples: dict[tuple[str, str], int] = {}

    def run(self) -> None:
        """Compare, then mend where that was asked for; emits differences and the result."""
        started = time.monotonic()
        with ExitStack() as held:
            fence = self._read_fence()
            sides = list(self._sources(held))
            own = self._connect(held)
            own.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            own.read_only = True
            wanted = held.enter_context(tempfile.TemporaryFile("w+"))
            comparisons = [
                Comparison(side, store_side(own, side.entity), fence, self._spec.source_is_live, self._pace.add)
                for side in sides
            ]
            self._pace.stage("compared", sum(c.source.rows + c.store.rows for c in comparisons))
            for comparison in comparisons:
                self._compare(comparison, wanted)
            digest = "".join(c.digest.hexdigest() for c in comparisons)
            repaired = self._repair(sides, digest, wanted) if self._spec.repair is not None else None
        tables = {c.store.entity.table: asdict(c.books) for c in comparisons}
        report.result({
            "differences": sum(c.books.differences for c in comparisons), "fence": fence.isoformat(),
            "tables": tables, "digest": digest, "repaired": repaired,
            "seconds": round(time.monotonic() - started, 3), "peak_mib": peak_mib(),
        })  # fmt: skip

    def _connect(self, held: ExitStack) -> Connection:
        conn: Connection = held.enter_context(closing(psycopg.connect(self._conninfo)))
        conn.execute("SET TimeZone = 'UTC'")
        conn.commit()
        self._stop.connections.append(conn)
        return conn

    def _read_fence(self) -> datetime:
        """Up to when the store must be as the source: what the stream has applied, at least T, less Δ."""
        with psycopg.connect(self._conninfo) as conn:
            row = conn.execute(_FENCE, (self._spec.group,)).fetchone()
        applied = row[0] if row and row[0] is not None else self._spec.t_cutover
        return max(applied, self._spec.t_cutover) - self._spec.skew

    def _sources(self, held: ExitStack) -> Iterator[Side]:
        source = open_source(self._spec.source)
        if isinstance(source, PostgresSource):
            held.enter_context(closing(source))
            self._stop.connections.append(source.connection)
            yield from database_sides(source)
            return
        conn = self._connect(held)
        self._pace.stage("staged", sum(part.total or 0 for part in source.parts()))
        yield from staged_sides(conn, source, self._pace.add)

    def _compare(self, comparison: Comparison, wanted: IO[str]) -> None:
        for difference in comparison.differences():
            self._stop.check()
            if difference.class_ in REPAIRED and self._spec.repair is not None:
                wanted.write(json.dumps([difference.table, difference.key]) + "\n")
            place = difference.table, difference.class_
            self._samples[place] = self._samples.get(place, 0) + 1
            if self._samples[place] <= self._spec.samples:
                report.emit("difference", _told(difference))

    def _repair(self, sides: list[Side], digest: str, wanted: IO[str]) -> dict[str, int]:
        if digest != self._spec.repair:
            raise JobError(
                "stale-plan", "The differences are no longer those that were shown.",
                "Rows have moved since. Nothing was written.",
            )  # fmt: skip
        return asyncio.run(_mend(self._conninfo, sides, wanted, self._stop))


async def _mend(conninfo: str, sides: list[Side], wanted: IO[str], stop: _Stop) -> dict[str, int]:
    """Writes the source's rows of these keys, as the comparison saw them; rows applied by table. A stop comes between
    two batches."""
    by_table = {side.entity.table: side for side in sides}
    applied = dict.fromkeys(by_table, 0)
    wanted.seek(0)
    async with await psycopg.AsyncConnection.connect(conninfo) as conn:
        await store.prepare(conn)
        for lines in batched(wanted, _REPAIRED_AT_ONCE):
            stop.check()
            keys: dict[str, list[str]] = {}
            for line in lines:
                table, key = json.loads(line)
                keys.setdefault(table, []).append(key)
            async with conn.transaction():
                for table, some in keys.items():
                    side = by_table[table]
                    rows = [(*row.values, None, None) for row in side.of_keys(some).values()]
                    await store.copy_rows(conn, side.entity, rows)
                    merged = await store.merge(conn, side.entity, "backfill", len(rows))
                    applied[table] += sum(counts.applied for counts in merged.values())
            report.progress(sum(applied.values()), None, note="repaired")
    return applied


def _told(difference: Difference) -> dict[str, Any]:
    """A sample: which row and how it differs, without the values that it holds."""
    assert difference.class_ in CLASSES
    return {
        "table": difference.table, "key": difference.key, "class": difference.class_,
        "columns": difference.columns, "source": _place(difference.source), "store": _place(difference.store),
    }  # fmt: skip


def _place(row: Row | None) -> dict[str, Any] | None:
    return None if row is None else {"version": row.version, "stamp": row.stamp.isoformat()}
