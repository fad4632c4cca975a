"""The replay job: dead letters go the way of a fresh record, and those that arrive are marked as resolved.

Owns the choice of the letters, their transaction, and `resolved_at`. Must not decode or merge in a way of its own:
`contract` and `store` are the consumer's. Must not publish anything: the log has the record already, and the books
of its partition have counted it.

A letter is locked, its record written, and the letter marked in one transaction: a replay that is killed leaves each
letter either in the tables and resolved, or as it was. One that fails again stays where it is, with its new reason.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Final, NamedTuple

import msgspec
import psycopg

from streamapp import report, store
from streamapp.consumer.faults import Fault, classify, plain
from streamapp.contract import ContractViolation, Record, decode_ledger, decode_order
from streamapp.report import JobError
from streamapp.settings import hub_settings, postgres_settings
from streamapp.store import Counts, Envelope, Progress

BATCH: Final = 500
#: The consumer may lock the same rows in another order; such a deadlock passes.
TRIES: Final = 5

_TAKE: Final = b"""
SELECT id, topic, partition, "offset", key, payload FROM bo.consumer_dlq_events
WHERE resolved_at IS NULL AND (topic, id) > (%(after_topic)s, %(after_id)s)
  AND (%(ids)s::int8[] IS NULL OR id = ANY(%(ids)s))
  AND (%(error_class)s::text IS NULL OR error_class = %(error_class)s)
  AND (%(topic)s::text IS NULL OR topic = %(topic)s)
  AND (%(since)s::timestamptz IS NULL OR created_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR created_at < %(until)s)
ORDER BY topic, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED"""
_RESOLVE: Final = b"UPDATE bo.consumer_dlq_events SET resolved_at = now() WHERE id = ANY(%s)"
_BLAME: Final = b"""
UPDATE bo.consumer_dlq_events e SET error_class = u.c, error_detail = u.d
FROM unnest(%b::int8[], %b::text[], %b::text[]) AS u(i, c, d)
WHERE e.id = u.i AND (e.error_class, e.error_detail) <> (u.c, u.d)"""


_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Spec(msgspec.Struct, forbid_unknown_fields=True):
    """What REPLAY_SPEC says: which of the unresolved letters. Times have a zone, and `until` is exclusive."""

    ids: list[int] | None = None
    error_class: str | None = None
    topic: str | None = None
    since: _Time | None = None
    until: _Time | None = None


class Letter(NamedTuple):
    """A dead letter, decoded anew."""

    id: int
    envelope: Envelope


def main(_: list[str]) -> int:
    """Emits progress and the result {replayed, applied, duplicate, stale, still_broken}."""
    try:
        spec = msgspec.json.decode(os.environ.get("REPLAY_SPEC", "{}"), type=Spec)
    except msgspec.MsgspecError as problem:
        raise JobError("bad-spec", "REPLAY_SPEC is not usable", str(problem)) from None
    replay = _Replay(spec, *hub_settings(os.environ))
    try:
        asyncio.run(replay.run())
    except psycopg.Error as problem:
        what = f"after {replay.total.consumed} dead letters the database refused to go on"
        raise JobError("replay-failed", what, plain(problem)) from None
    total = replay.total
    report.result({"replayed": total.consumed, "applied": total.applied, "duplicate": total.duplicate,
                   "stale": total.stale, "still_broken": total.dlq})  # fmt: skip
    return 0


class _Replay:
    """One run over the letters, by topic and age; `total` is what became of them."""

    def __init__(self, spec: Spec, ledger: str, order: str) -> None:
        self._spec = spec
        self._decoders: dict[str, Callable[[bytes | None], Record]] = {
            ledger: decode_ledger,
            order: decode_order,
        }
        self.total = Counts()

    async def run(self) -> None:
        """Batch by batch; one by one where a batch contains a record that the database refuses."""
        async with await psycopg.AsyncConnection.connect(postgres_settings(os.environ).conninfo("txplan-replay")) as c:
            await store.prepare(c)
            after: tuple[str, int] | None = ("", 0)
            single, tries, refused = 0, TRIES, None
            while after is not None:
                try:
                    after = await self._step(c, after, 1 if single else BATCH, refused)
                except psycopg.Error as problem:
                    fault = classify(problem)
                    if fault is Fault.TRANSIENT and tries and not c.broken:
                        tries -= 1
                    elif fault is Fault.DATA and not single:
                        single = BATCH
                    elif fault is Fault.DATA and refused is None:
                        refused = ContractViolation("store_refused", f"refused by the database: {plain(problem)}")
                    else:
                        raise
                    continue
                single, tries, refused = max(0, single - 1), TRIES, None
                report.progress(self.total.consumed, None, unit="dead letters")

    async def _step(
        self, conn: store.Connection, after: tuple[str, int], limit: int, refused: ContractViolation | None
    ) -> tuple[str, int] | None:
        """Replay the next letters in one transaction; where the next step begins, None at the end."""
        async with conn.transaction():
            letters = await self._taken(conn, after, limit, refused)
            if not letters:
                return None
            src = "stream" if letters[0].envelope.topic in self._decoders else "backfill"
            books = await store.apply_batch(conn, [letter.envelope for letter in letters], Progress(""), src)
            await _settle(conn, letters)
        for counts in books.values():
            for name, value in vars(counts).items():
                setattr(self.total, name, getattr(self.total, name) + value)
        return letters[-1].envelope.topic, letters[-1].id

    async def _taken(
        self, conn: store.Connection, after: tuple[str, int], limit: int, refused: ContractViolation | None
    ) -> list[Letter]:
        """The next letters of one topic, locked; those that another replay has locked are left to it."""
        filters = msgspec.structs.asdict(self._spec)
        place = {"after_topic": after[0], "after_id": after[1], "limit": limit}
        rows = await (await conn.execute(_TAKE, filters | place)).fetchall()
        return [
            Letter(id_, Envelope(topic, partition, offset, key, payload, refused or self._decode(topic, payload)))
            for id_, topic, partition, offset, key, payload in rows
            if topic == rows[0][1]
        ]

    def _decode(self, topic: str, payload: bytes | None) -> Record | ContractViolation:
        """By the topic's decoder. A letter of a backfill names its file: there the record says itself which it is."""
        known = self._decoders.get(topic)
        problem = None
        for decode in (known,) if known else (decode_ledger, decode_order):
            try:
                return decode(payload)
            except ContractViolation as violation:
                problem = problem or violation
        assert problem is not None
        return problem


async def _settle(conn: store.Connection, letters: Sequence[Letter]) -> None:
    """Mark what arrived, and give what did not the reason of today."""
    await conn.execute(
        _RESOLVE, [[at.id for at in letters if not isinstance(at.envelope.body, ContractViolation)]]
    )
    broken = [(at.id, at.envelope.body) for at in letters if isinstance(at.envelope.body, ContractViolation)]
    if broken:
        columns = zip(*((id_, body.error_class, body.detail) for id_, body in broken), strict=True)
        await conn.execute(_BLAME, [list(column) for column in columns])
