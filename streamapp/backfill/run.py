"""The backfill job: reads chunks in one thread, merges them in the store, and can be ended at any moment.

Owns the order of work, its workers and the job's lines. A chunk's rows, dead letters and checkpoint are one
transaction, so after kill -9 the next run goes on at the chunk that was not committed. SIGTERM lets the current
chunks finish. Must not know a format or the merge's SQL.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import replace

import psycopg

from streamapp import report, store
from streamapp.backfill.checkpoints import Books, Checkpoint, RunBooks
from streamapp.backfill.chunks import Chunk, Ownership, Part, SourceReader, chunk_of
from streamapp.backfill.files import FileSource
from streamapp.backfill.generated import SyntheticSource
from streamapp.backfill.postgres import PostgresSource
from streamapp.backfill.spec import Files, Postgres, Spec, Synthetic, read
from streamapp.report import JobError
from streamapp.settings import postgres_settings

SIGTERM_EXIT = 143


def main(_: list[str]) -> int:
    spec = read(os.environ, "BACKFILL_SPEC")
    if spec.cutover_id is None or spec.spec_digest is None:
        raise JobError("bad-spec", "a backfill belongs to a cutover", "Give cutover_id and spec_digest.")
    target = postgres_settings(os.environ)
    source = open_source(spec)
    held = closing(source) if isinstance(source, PostgresSource) else nullcontext()
    with held:
        try:
            return asyncio.run(_run(source, spec, target.conninfo("txplan-backfill")))
        except psycopg.OperationalError as problem:
            raise JobError("database", "the database does not answer", str(problem)) from None
        except psycopg.Error as problem:
            raise JobError("database", "the database refused a chunk", _safe(problem)) from None


def open_source(spec: Spec) -> SourceReader:
    """The reader of a spec; a database source takes its address from SOURCE_PG…."""
    match spec:
        case Files():
            return FileSource(spec)
        case Postgres():
            return PostgresSource(spec, postgres_settings(os.environ, "SOURCE_"))
        case Synthetic():
            return SyntheticSource(spec)


async def _run(source: SourceReader, spec: Spec, conninfo: str) -> int:
    start_mib = peak_mib()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as conn:
        await _hold(conn)
        books = RunBooks(conn, spec.cutover_id or 0, spec.spec_digest or "")
        fresh = await books.begin()
        if fresh:
            _tell_snapshot(source, spec)
            known = await books.checkpoints()
            parts = source.parts()
            _refuse_changed(parts, known)
            progress = Progress(parts, known)
            await books.expect(progress.total)
            job = _Job(source, spec, progress, stop)
            left = deque(parts)
            # Each worker has a connection; two of them keep the server busy while rows are read.
            await asyncio.gather(*(job.work(conninfo, left, known) for _ in range(source.workers)))
            if stop.is_set():
                return SIGTERM_EXIT
            await books.finish()
        known = await books.checkpoints()
    total = Books()
    for checkpoint in known.values():
        total.add(checkpoint.books)
    numbers = {**vars(total), "parts": len(known), "already_done": not fresh}
    report.result({**numbers, "start_mib": start_mib, "peak_mib": peak_mib()})
    return 0


async def _hold(conn: store.Connection) -> None:
    """One backfill at a time: also the server's side of a killed one has ended once this returns."""
    await conn.execute("SET lock_timeout = '30s'")
    try:
        await conn.execute("SELECT pg_advisory_lock(hashtextextended('txplan.backfill', 0))")
    except psycopg.errors.LockNotAvailable:
        raise JobError("busy", "another backfill is running", "Wait for it, or end it.") from None


def _tell_snapshot(source: SourceReader, spec: Spec) -> None:
    """Says what is read, before any of it is; refuses a source whose stamps cannot be held against the broker's."""
    snapshot = dict(source.snapshot())
    ahead = snapshot.get("ahead_s")
    if ahead is not None:
        ahead = snapshot["ahead_of_broker_s"] = round(ahead - spec.broker_ahead_s, 3)
        if spec.max_skew_s is not None and abs(ahead) - snapshot["within_s"] > spec.max_skew_s:
            raise JobError(
                "clock-skew", f"the source's clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} the "
                f"broker's; Δ is {spec.max_skew_s:g} s",
                "Its stamps cannot be held against T: set the clocks, or raise cutover.skew.",
            )  # fmt: skip
    report.emit("snapshot", snapshot)


def _refuse_changed(parts: Sequence[Part], known: dict[str, Checkpoint]) -> None:
    for part in parts:
        if part.name in known and known[part.name].fingerprint != part.fingerprint:
            raise JobError(
                "source-changed", f"{part.name} is not what it was when this run began",
                "A changed source is another spec: start it with a new spec_digest.",
            )  # fmt: skip


def peak_mib() -> int:
    """The most memory this process has held, in MiB."""
    # The kernel counts in KiB, except on macOS, where it counts bytes.
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit


class Progress:
    """Rows done of all parts, and the time left at the pace of this run."""

    def __init__(self, parts: Sequence[Part], known: dict[str, Checkpoint]) -> None:
        self._done = sum(checkpoint.books.read for checkpoint in known.values())
        self._at_start = self._done
        self._started = self._told = time.monotonic()
        totals = [part.total for part in parts]
        self.total = None if None in totals else sum(t for t in totals if t is not None)
        #: Rows a second of this run, None before it has read for a moment.
        self.pace: float | None = None

    def add(self, rows: int, note: str) -> None:
        self._done += rows
        now = time.monotonic()
        if now - self._told < 0.5:
            return
        self._told = now
        self.pace = (self._done - self._at_start) / (now - self._started)
        left = None if self.total is None or not self.pace else max(self.total - self._done, 0) / self.pace
        report.progress(self._done, self.total, eta_s=None if left is None else round(left, 1), note=note)


class _Job:
    """One run's work on its parts, by one or more workers."""

    def __init__(self, source: SourceReader, spec: Spec, progress: Progress, stop: asyncio.Event) -> None:
        self._source = source
        self._spec = spec
        self._progress = progress
        self._stop = stop

    async def work(self, conninfo: str, left: deque[Part], known: dict[str, Checkpoint]) -> None:
        """Takes parts from `left` until none is there, or SIGTERM came."""
        async with await psycopg.AsyncConnection.connect(conninfo) as conn:
            await store.prepare(conn)
            books = RunBooks(conn, self._spec.cutover_id or 0, self._spec.spec_digest or "")
            while left and not self._stop.is_set():
                part = left.popleft()
                state = known.get(part.name) or Checkpoint(part.fingerprint, "", False, Books())
                if not state.done:
                    await self._part(conn, books, part, state)

    async def _part(self, conn: store.Connection, books: RunBooks, part: Part, state: Checkpoint) -> None:
        blocks = self._source.blocks(part, state.position, state.books.read)
        owns = Ownership(self._spec.before, self._spec.future)
        chunks = (chunk_of(part, block, owns) for block in blocks)
        loop = asyncio.get_running_loop()
        # One thread reads one chunk ahead: two chunks at most are in memory.
        with ThreadPoolExecutor(1, "read") as reader:
            ahead = loop.run_in_executor(reader, _next, chunks)
            while (chunk := await ahead) is not None:
                if self._stop.is_set():
                    return
                ahead = loop.run_in_executor(reader, _next, chunks)
                state = await _apply(conn, books, part, state, chunk, self._progress.pace)
                self._progress.add(chunk.rows_read, part.name)
        await books.write(part.name, replace(state, done=True))


async def _apply(
    conn: store.Connection, run: RunBooks, part: Part, state: Checkpoint, chunk: Chunk, pace: float | None
) -> Checkpoint:
    """Writes a chunk, its dead letters and its checkpoint: all of it or nothing."""
    books = replace(state.books)
    async with conn.transaction():
        for data in chunk.csv:
            await store.copy_csv(conn, part.entity, data)
        if chunk.staged:
            for counts in (await store.merge(conn, part.entity, "backfill", chunk.staged)).values():
                books.add(Books(0, counts.applied, counts.duplicate, counts.stale, counts.conflict))
        await store.write_dlq(conn, chunk.broken)
        books.add(Books(chunk.rows_read, dlq=len(chunk.broken), left=chunk.left))
        chunk.saw(state.newest)
        state = Checkpoint(part.fingerprint, chunk.position, False, books, chunk.newest)
        # The run's row is written last: it is the only lock that two workers share.
        await run.write(part.name, state, pace)
    return state


def _next(chunks: Iterator[Chunk]) -> Chunk | None:
    return next(chunks, None)


def _safe(problem: psycopg.Error) -> str:
    """What may be told of a database's error: of bad data (class 22) not the message, which quotes it."""
    where = problem.diag.constraint_name or problem.diag.table_name or ""
    code = problem.sqlstate or ""
    message = "" if code.startswith("22") else problem.diag.message_primary or ""
    return f"{code} {where} {message}".strip()
