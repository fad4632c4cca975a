"""The backfill job: reads chunks in one thread, merges them in the store, and can be ended at any moment.

Owns the order of work and the job's lines. A chunk's rows, dead letters and checkpoint are one transaction, so
after kill -9 the next run goes on at the chunk that was not committed. SIGTERM lets the current chunk finish.
Must not know a format or the merge's SQL.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from datetime import datetime

import psycopg

from streamapp import report, store
from streamapp.backfill.checkpoints import Books, Checkpoint, RunBooks
from streamapp.backfill.chunks import Chunk, Part, SourceReader, chunk_of
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
    start_mib = _peak_mib()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with await psycopg.AsyncConnection.connect(conninfo) as conn:
        await store.prepare(conn)
        books = RunBooks(conn, spec.cutover_id or 0, spec.spec_digest or "")
        fresh = await books.begin()
        known = await books.checkpoints()
        if fresh:
            parts = source.parts()
            job = _Job(conn, books, Progress(parts, known), stop, spec.before)
            for part in parts:
                if not await job.part(source, part, known.get(part.name)):
                    return SIGTERM_EXIT
            await books.finish()
            known = await books.checkpoints()
        total = Books()
        for checkpoint in known.values():
            total.add(checkpoint.books)
    numbers = {**vars(total), "parts": len(known), "already_done": not fresh}
    report.result({**numbers, "start_mib": start_mib, "peak_mib": _peak_mib()})
    return 0


def _peak_mib() -> int:
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
        self._total = None if None in totals else sum(t for t in totals if t is not None)

    def add(self, rows: int, note: str) -> None:
        self._done += rows
        now = time.monotonic()
        if now - self._told < 0.5:
            return
        self._told = now
        pace = (self._done - self._at_start) / (now - self._started)
        left = None if self._total is None or not pace else max(self._total - self._done, 0) / pace
        report.progress(self._done, self._total, eta_s=None if left is None else round(left, 1), note=note)


class _Job:
    """One connection's work on the parts."""

    def __init__(
        self,
        conn: store.Connection,
        books: RunBooks,
        progress: Progress,
        stop: asyncio.Event,
        before: datetime | None,
    ) -> None:
        self._conn = conn
        self._books = books
        self._progress = progress
        self._stop = stop
        self._before = before

    async def part(self, source: SourceReader, part: Part, known: Checkpoint | None) -> bool:
        """Works through one part; False where SIGTERM ended it first."""
        if known is not None and known.fingerprint != part.fingerprint:
            raise JobError(
                "source-changed", f"{part.name} is not what it was when this run began",
                "A changed source is another spec: start it with a new spec_digest.",
            )  # fmt: skip
        state = known or Checkpoint(part.fingerprint, "", False, Books())
        if state.done:
            return True
        blocks = source.blocks(part, state.position, state.books.read)
        chunks = (chunk_of(part, block, self._before) for block in blocks)
        loop = asyncio.get_running_loop()
        # One thread reads one chunk ahead: two chunks at most are in memory.
        with ThreadPoolExecutor(1, "read") as reader:
            ahead = loop.run_in_executor(reader, _next, chunks)
            while (chunk := await ahead) is not None:
                if self._stop.is_set():
                    return False
                ahead = loop.run_in_executor(reader, _next, chunks)
                state = await self._apply(part, state, chunk)
                self._progress.add(chunk.rows_read, part.name)
            await self._books.write(part.name, Checkpoint(part.fingerprint, state.position, True, state.books))
        return not self._stop.is_set()

    async def _apply(self, part: Part, state: Checkpoint, chunk: Chunk) -> Checkpoint:
        books = Books(**vars(state.books))
        async with self._conn.transaction():
            for data in chunk.csv:
                await store.copy_csv(self._conn, part.entity, data)
            if chunk.staged:
                for counts in (await store.merge(self._conn, part.entity, "backfill", chunk.staged)).values():
                    books.add(Books(0, counts.applied, counts.duplicate, counts.stale, counts.conflict))
            await store.write_dlq(self._conn, chunk.broken)
            books.add(Books(chunk.rows_read, dlq=len(chunk.broken), left=chunk.left))
            state = Checkpoint(part.fingerprint, chunk.position, False, books)
            await self._books.write(part.name, state)
        return state


def _next(chunks: Iterator[Chunk]) -> Chunk | None:
    return next(chunks, None)


def _safe(problem: psycopg.Error) -> str:
    """SQLSTATE and the constraint or table: the message itself may quote a row."""
    where = problem.diag.constraint_name or problem.diag.table_name or ""
    return f"{problem.sqlstate} {where} {problem.diag.message_primary or ''}".strip()
