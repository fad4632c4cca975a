"""The dead letters in the environment's database (`bo.consumer_dlq_events`): listed, looked at, replayed, purged.

Owns the SQL of that table as the engine uses it, who may do what (the API's role reads, the consumer's replays, the
owner deletes), and the audit row of each look and act. Must not: decode a letter, or write an entity; that is the
service's replay job.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection, errors, sql

from engine.kinds import wiring
from engine.kinds.base import Needs
from engine.kinds.jobs import run_job
from engine.model.address import Address
from engine.model.diagnostic import Refused, error
from engine.providers.base import Context, Database


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters; None is any. `since` is inclusive, `until` exclusive."""

    ids: Sequence[int] | None = None
    error_class: str | None = None
    topic: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter without its content; `size` is the payload's, in bytes."""

    id: int
    topic: str
    partition: int
    offset: int
    error_class: str
    error_detail: str
    created_at: datetime
    resolved_at: datetime | None
    size: int


@dataclass(frozen=True, slots=True)
class Content:
    """A dead letter with its bytes; None where the record had none."""

    letter: Letter
    key: bytes | None
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class Purge:
    """What a purge would delete: the letters that are resolved, and those that are not."""

    resolved: Sequence[int]
    unresolved: Sequence[int]


_CHOSEN = sql.SQL("""
    (%(ids)s::int8[] IS NULL OR id = ANY(%(ids)s)) AND (%(error_class)s::text IS NULL OR error_class = %(error_class)s)
    AND (%(topic)s::text IS NULL OR topic = %(topic)s)
    AND (%(since)s::timestamptz IS NULL OR created_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR created_at < %(until)s)""")
_LETTER = sql.SQL("""id, topic, partition, "offset", error_class, error_detail, created_at, resolved_at,
    coalesce(octet_length(payload), 0)""")
_AUDIT = sql.SQL("""INSERT INTO bo.admin_audit_logs (actor, action, target, result_count, status)
    VALUES (%s, %s, %s, %s, 200)""")


def newest(database: Database, chosen: Filter, *, resolved: bool, limit: int) -> list[Letter]:
    """The newest letters, at most `limit`; resolved ones too where asked."""
    query = sql.SQL("""SELECT {} FROM bo.consumer_dlq_events WHERE {} AND (%(resolved)s OR resolved_at IS NULL)
        ORDER BY id DESC LIMIT %(limit)s""").format(_LETTER, _CHOSEN)
    with _reading(database) as connection:
        rows = connection.execute(query, {**asdict(chosen), "resolved": resolved, "limit": limit})
        return [Letter(*row) for row in rows]


def unknown(database: Database, ids: Sequence[int]) -> list[int]:
    """Those of `ids` that no letter has."""
    with _reading(database) as connection:
        rows = connection.execute("SELECT id FROM bo.consumer_dlq_events WHERE id = ANY(%s)", (list(ids),)).fetchall()
    return sorted(set(ids) - {row[0] for row in rows})


def by_class(database: Database, chosen: Filter, *, resolved: bool) -> dict[str, int]:
    """How many there are of each class, the most first."""
    query = sql.SQL("""SELECT error_class, count(*) FROM bo.consumer_dlq_events
        WHERE {} AND (%(resolved)s OR resolved_at IS NULL) GROUP BY 1 ORDER BY 2 DESC, 1""").format(_CHOSEN)
    with _reading(database) as connection:
        return dict(connection.execute(query, {**asdict(chosen), "resolved": resolved}).fetchall())


def content(database: Database, id_: int, actor: str) -> Content | None:
    """One letter with its bytes; leaves an audit row, since the bytes are somebody's data."""
    query = sql.SQL("SELECT {}, key, payload FROM bo.consumer_dlq_events WHERE id = %s").format(_LETTER)
    with _reading(database) as connection:
        row = connection.execute(query, (id_,)).fetchone()
        connection.execute(_AUDIT, (actor, "dlq show", str(id_), int(row is not None)))
    return None if row is None else Content(Letter(*row[:-2]), *row[-2:])


def replay(needs: Needs, chosen: Filter, actor: str, context: Context) -> Mapping[str, Any]:
    """Send the unresolved letters the way of a fresh record; {replayed, applied, duplicate, stale, still_broken}."""
    consumer = needs.apps.describe(wiring.CONSUMER.name)
    if consumer is None:
        raise Refused([error("no-consumer", "There is no consumer, so nobody says which topic holds what.",
                             mend="Apply the manifest first.")])
    hubs = {key: value for key, value in consumer.environment.items() if key.startswith("HUB_")}
    given = {key: value.isoformat() if isinstance(value, datetime) else value
             for key, value in asdict(chosen).items() if value is not None}
    result = run_job(needs.jobs, Address("dlq", "replay"), [sys.executable, "-m", "streamapp", "replay"],
                     {**hubs, "REPLAY_SPEC": json.dumps(given)},
                     needs.database.client_environment(wiring.CONSUMER_ROLE), context)
    with _reading(needs.database) as connection:
        connection.execute(_AUDIT, (actor, "dlq replay", json.dumps(given), int(result["replayed"])))
    return result


def purgeable(database: Database, chosen: Filter, before: datetime | None) -> Purge:
    """What a purge would delete: what is resolved, and what is older than `before` (all of it where that is None)."""
    query = sql.SQL("""SELECT resolved_at IS NOT NULL, array_agg(id ORDER BY id) FROM bo.consumer_dlq_events
        WHERE {} AND (resolved_at IS NOT NULL OR %(before)s::timestamptz IS NULL OR created_at < %(before)s)
        GROUP BY 1""").format(_CHOSEN)
    with _reading(database) as connection:
        found = dict(connection.execute(query, {**asdict(chosen), "before": before}).fetchall())
    return Purge(found.get(True, []), found.get(False, []))


def purge(database: Database, found: Purge, actor: str) -> int:
    """Delete exactly what was found, as the owner; how many there still were. A letter that was found resolved and is
    another record's by now stays."""
    query = sql.SQL("""DELETE FROM bo.consumer_dlq_events
        WHERE (id = ANY(%s) AND resolved_at IS NOT NULL) OR id = ANY(%s)""")
    with database.connect(wiring.MIGRATOR) as connection:
        gone = connection.execute(query, (list(found.resolved), list(found.unresolved))).rowcount
        connection.execute(_AUDIT, (actor, "dlq purge", f"{len(found.resolved)} resolved, "
                                    f"{len(found.unresolved)} unresolved", gone))
    return gone


@contextmanager
def _reading(database: Database) -> Iterator[Connection[tuple[Any, ...]]]:
    """As the API's role, which reads the letters and writes audit rows, and nothing else."""
    try:
        with database.connect(wiring.API_ROLE) as connection:
            yield connection
    except (errors.UndefinedTable, errors.InvalidSchemaName) as problem:
        raise Refused([error("no-schema", "The database has no schema yet, and so no dead letters.",
                             mend="Apply the manifest first.")]) from problem
