"""The backfill's own books: the run, and a checkpoint for each part, written with the chunk it speaks of.

Owns bo.backfill_runs and bo.backfill_checkpoints. Must not open a transaction: the caller's is the point.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from streamapp.store import Connection

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Books:
    """Rows by what became of them: read = applied + duplicate + stale + dlq + left."""

    read: int = 0
    applied: int = 0
    duplicate: int = 0
    stale: int = 0
    conflict: int = 0
    dlq: int = 0
    left: int = 0

    def add(self, other: Books) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True)
class Checkpoint:
    fingerprint: str
    position: str
    done: bool
    books: Books
    newest: datetime | None = None


class RunBooks:
    """The run of one cutover and one spec."""

    def __init__(self, conn: Connection, cutover_id: int, spec_digest: str) -> None:
        self._conn = conn
        self._key = (cutover_id, spec_digest)

    async def begin(self) -> bool:
        """Records the run; False where it is done already."""
        cursor = await self._conn.execute(
            "INSERT INTO bo.backfill_runs (cutover_id, spec_digest, state) VALUES (%s, %s, 'running') "
            "ON CONFLICT (cutover_id, spec_digest) DO UPDATE SET state = backfill_runs.state RETURNING state",
            self._key,
        )
        row = await cursor.fetchone()
        return row is not None and row[0] == "running"

    async def expect(self, rows: int | None) -> None:
        """How many rows there are to read, where that is known."""
        await self._conn.execute(
            "UPDATE bo.backfill_runs SET rows_total = %s WHERE cutover_id = %s AND spec_digest = %s", (rows, *self._key)
        )

    async def checkpoints(self) -> dict[str, Checkpoint]:
        cursor = await self._conn.execute(
            "SELECT part, fingerprint, position, done, rows_read, rows_applied, rows_duplicate, rows_stale, "
            "rows_conflict, rows_dlq, rows_left, "
            # As a number: how a time is spelled is the database's own setting.
            "extract(epoch FROM last_time)::float8 FROM bo.backfill_checkpoints "
            "WHERE cutover_id = %s AND spec_digest = %s",
            self._key,
        )
        return {
            part: Checkpoint(
                fingerprint, position, done, Books(*numbers), None if newest is None else _EPOCH + timedelta(0, newest)
            )
            for part, fingerprint, position, done, *numbers, newest in await cursor.fetchall()
        }

    async def write(self, part: str, checkpoint: Checkpoint, pace: float | None = None) -> None:
        """Books a part's checkpoint; `pace` is the run's rows a second, None where nothing new is known of it."""
        await self._conn.execute(
            "INSERT INTO bo.backfill_checkpoints (cutover_id, spec_digest, part, fingerprint, position, rows_read, "
            "rows_applied, rows_duplicate, rows_stale, rows_conflict, rows_dlq, rows_left, done, last_time) VALUES "
            "(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (cutover_id, spec_digest, part) DO UPDATE SET position = EXCLUDED.position, "
            "rows_read = EXCLUDED.rows_read, rows_applied = EXCLUDED.rows_applied, "
            "rows_duplicate = EXCLUDED.rows_duplicate, rows_stale = EXCLUDED.rows_stale, "
            "rows_conflict = EXCLUDED.rows_conflict, rows_dlq = EXCLUDED.rows_dlq, "
            "rows_left = EXCLUDED.rows_left, done = EXCLUDED.done, updated_at = now(), "
            "last_time = EXCLUDED.last_time",
            (*self._key, part, checkpoint.fingerprint, checkpoint.position, *astuple(checkpoint.books),
             checkpoint.done, checkpoint.newest),
        )  # fmt: skip
        await self._conn.execute(
            "UPDATE bo.backfill_runs r SET rows_read = c.n, rows_applied = c.a, rows_dlq = c.d, "
            "rows_per_s = coalesce(%s, rows_per_s) FROM ("
            "SELECT sum(rows_read) n, sum(rows_applied) a, sum(rows_dlq) d FROM bo.backfill_checkpoints "
            "WHERE cutover_id = %s AND spec_digest = %s) c WHERE r.cutover_id = %s AND r.spec_digest = %s",
            (pace, *self._key, *self._key),
        )

    async def finish(self) -> None:
        await self._conn.execute(
            "UPDATE bo.backfill_runs SET state = 'done', finished_at = now() "
            "WHERE cutover_id = %s AND spec_digest = %s",
            self._key,
        )
