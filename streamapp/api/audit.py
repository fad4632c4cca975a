"""The audit trail: one row for every ``/admin`` call, written behind the answer in batches.

Owns: the bounded queue, the flusher, and what happens when the queue is full: the call is refused
(503), since an answer without its audit row is worse than no answer. Calls without a credential are
recorded while the queue is less than half full, so that a flood of them cannot crowd out the rest, and
counted in one row afterwards where it is not. The same holds for calls over the rate limit.
Must not: hold up an answer, or drop a row it accepted: a flush is retried until it succeeds or, at
shutdown, its time is up, and then every row goes to the log. kill -9 loses what was answered since the
last flush: half a second and the time of one write.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from datetime import UTC, datetime
from typing import NamedTuple

import asyncpg  # type: ignore[import-untyped]

log = logging.getLogger(__name__)

CAPACITY = 20_000
FLUSH_SECONDS = 0.5
RETRY_SECONDS = 1.0
CHUNK = 2_000
CLOSE_SECONDS = 5.0
#: The action of the row that counts refused calls; its result count says how many.
UNRECORDED = "(not recorded singly)"


class Row(NamedTuple):
    """A row of ``bo.admin_audit_logs``, in column order."""

    at: datetime
    actor: str
    action: str
    target: str
    result_count: int
    status: int


class Audit:
    """Collects rows and writes them with COPY."""

    def __init__(self, pool: asyncpg.Pool, capacity: int = CAPACITY) -> None:
        self._pool = pool
        self._capacity = capacity
        self._rows: deque[Row] = deque()
        self._wake = asyncio.Event()
        self._unrecorded = 0
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to flush; call once, in the running loop."""
        self._task = asyncio.create_task(self._flush_forever(), name="audit")

    def __len__(self) -> int:
        return len(self._rows)

    def has_room(self) -> bool:
        """Whether a row can be accepted."""
        return len(self._rows) < self._capacity

    def add_denied(self, actor: str, action: str, target: str, status: int) -> None:
        """Record a refused call, or count it where refused calls fill half of the queue."""
        if len(self._rows) < self._capacity // 2:
            self.add(actor, action, target, 0, status)
        else:
            self._unrecorded += 1

    def add(self, actor: str, action: str, target: str, result_count: int, status: int) -> None:
        """Accept a row. Text that PostgreSQL cannot hold (NUL, lone surrogates) is replaced."""
        safe = target[:512].replace("\0", "\ufffd").encode("utf-8", "replace").decode()
        self._rows.append(Row(datetime.now(UTC), actor, action, safe, result_count, status))

    async def close(self) -> None:
        """Flush what is left, within ``CLOSE_SECONDS``; the pool must still be open."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            done, _ = await asyncio.wait({self._task}, timeout=CLOSE_SECONDS)
            if not done:
                self._task.cancel()
        for row in self._rows:
            log.error("audit row that the database did not take: %s", json.dumps(row, default=str))
        if self._unrecorded:
            log.error("refused calls that were not recorded singly: %d", self._unrecorded)

    async def _flush_forever(self) -> None:
        while not (self._closing and not self._rows and not self._unrecorded):
            pause = FLUSH_SECONDS
            try:
                await self._flush()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("audit rows wait (%d): %s", len(self._rows), type(error).__name__)
                pause = RETRY_SECONDS
            if not self._closing:
                try:
                    await asyncio.wait_for(self._wake.wait(), pause)
                except TimeoutError:
                    continue
            elif self._rows or self._unrecorded:
                await asyncio.sleep(pause)

    async def _flush(self) -> None:
        if self._unrecorded and len(self._rows) < self._capacity // 2:
            self.add("-", UNRECORDED, "refused calls beyond what is recorded singly", self._unrecorded, 0)
            self._unrecorded = 0
        while self._rows:
            chunk = [self._rows[i] for i in range(min(CHUNK, len(self._rows)))]
            async with self._pool.acquire(timeout=10) as connection:
                await connection.copy_records_to_table(
                    "admin_audit_logs", schema_name="bo", columns=Row._fields, records=chunk, timeout=10
                )
            for _ in chunk:
                self._rows.popleft()
