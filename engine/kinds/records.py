"""What cutover, backfill, smoke and gates record in the environment's database (schema `bo`), read and written.

Owns the SQL of `bo.cutovers`, `bo.backfill_runs` and `bo.proofs` as the engine uses them. Must not: decide anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection, errors, sql
from psycopg.types.json import Jsonb

from engine.kinds.wiring import MIGRATOR
from engine.model.diagnostic import Refused
from engine.model.value import Attributes
from engine.providers.base import Database, Partition

Offsets = Mapping[Partition, int]


@dataclass(frozen=True, slots=True)
class CutoverRecord:
    """One row of `bo.cutovers`; `requested` is what the manifest asked for when it was taken."""

    id: int
    generation: int
    state: str
    t_cutover: datetime
    skew: timedelta
    group: str
    start_offsets: Offsets
    requested: Attributes
    recorded_at: datetime | None = None
    """By the database's clock; None before it is recorded."""

    taken: Attributes = field(default_factory=dict)
    """Under what it was taken: clocks, retention and recovery buffer, the log's start."""

    snapshot: Attributes = field(default_factory=dict)
    """What the backfill read of the source; empty before it read."""


@dataclass(frozen=True, slots=True)
class Reprocessing:
    """One row of `bo.reprocessings`: from where the group read again, and where the log ended then."""

    at: datetime
    asked: Attributes
    begin: Offsets
    end: Offsets


@dataclass(frozen=True, slots=True)
class Proof:
    """The newest row of `bo.proofs` for a step."""

    subject: str
    outcome: str
    finished_at: datetime
    detail: Mapping[str, Any]


def offsets_to_json(offsets: Offsets) -> dict[str, dict[str, int]]:
    """{topic: {partition: offset}}, as the record keeps them."""
    tree: dict[str, dict[str, int]] = {}
    for (topic, partition), offset in sorted(offsets.items()):
        tree.setdefault(topic, {})[str(partition)] = offset
    return tree


def offsets_from_json(tree: Mapping[str, Mapping[str, int]]) -> dict[Partition, int]:
    """The inverse of `offsets_to_json`."""
    return {(topic, int(partition)): offset for topic, parts in tree.items() for partition, offset in parts.items()}


def why_unreadable(database: Database) -> str:
    """Why the records cannot be read although the database may hold some; empty where they can be read (or where
    there is no database yet, and so no record)."""
    return "" if database.reachable() else "the database does not answer"


def read(database: Database, query: sql.SQL | sql.Composed, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Rows of a query as the migrator; no rows where the database, role or table is not there yet."""
    try:
        with database.connect(MIGRATOR) as connection:
            return connection.execute(query, parameters).fetchall()
    except (errors.UndefinedTable, errors.InvalidSchemaName, errors.InvalidCatalogName,
            errors.InvalidAuthorizationSpecification):
        return []
    except Refused as refused:
        if any(d.code in _NO_RECORDS for d in refused.diagnostics):
            return []
        raise


def live_revisions(database: Database) -> list[str]:
    """The revisions in `bo.alembic_version`; empty before the first migration."""
    return [row[0] for row in read(database, sql.SQL("SELECT version_num FROM bo.alembic_version ORDER BY 1"), {})]


# Codes with which a target says that there is no database, or no login, to have recorded anything in.
_NO_RECORDS = ("no-login", "no-database")

# Through to_jsonb: before the revision that brings a column, its value is simply not known.
_CUTOVER = sql.SQL("""
    SELECT id, generation, state, t_cutover, skew, consumer_group, start_offsets, source, recorded_at,
           to_jsonb(c) -> 'taken', to_jsonb(c) -> 'snapshot'
    FROM bo.cutovers c WHERE state <> 'abandoned' ORDER BY id DESC LIMIT 1""")


def active_cutover(database: Database) -> CutoverRecord | None:
    """The newest cutover that was not abandoned."""
    rows = read(database, _CUTOVER, {})
    if not rows:
        return None
    id_, generation, state, t_cutover, skew, group, offsets, requested, at, taken, snapshot = rows[0]
    return CutoverRecord(id_, generation, state, t_cutover, skew, group, offsets_from_json(offsets), requested, at,
                         taken or {}, snapshot or {})


def last_generation(database: Database) -> int:
    """The highest generation recorded here; 0 before the first."""
    rows = read(database, sql.SQL("SELECT coalesce(max(generation), 0) FROM bo.cutovers"), {})
    return int(rows[0][0]) if rows else 0


def insert_cutover(database: Database, record: CutoverRecord, instance: str) -> int:
    """Abandon the cutovers before, and record a new one; returns its id."""
    with database.connect(MIGRATOR) as connection:
        connection.execute("UPDATE bo.cutovers SET state = 'abandoned' WHERE state <> 'abandoned'")
        row = connection.execute(
            "INSERT INTO bo.cutovers (generation, state, t_cutover, skew, consumer_group, start_offsets, source, "
            "instance, taken) VALUES (%s, 'recorded', %s, %s, %s, %s, %s, %s, %s) RETURNING id",
            (record.generation, record.t_cutover, record.skew, record.group,
             Jsonb(offsets_to_json(record.start_offsets)), Jsonb(dict(record.requested)), instance,
             Jsonb(dict(record.taken)))).fetchone()
        connection.commit()
    assert row is not None
    return int(row[0])


def set_cutover_state(database: Database, cutover_id: int, state: str) -> None:
    """Move a cutover to `state`; never back from `syncing`."""
    with database.connect(MIGRATOR) as connection:
        connection.execute("UPDATE bo.cutovers SET state = %s WHERE id = %s AND state <> 'syncing'",
                           (state, cutover_id))
        connection.commit()


def set_snapshot(database: Database, cutover_id: int, snapshot: Mapping[str, Any]) -> None:
    """Keep what the backfill of a cutover reads of its source; a run that goes on reads a later one."""
    with database.connect(MIGRATOR) as connection:
        connection.execute("UPDATE bo.cutovers SET snapshot = %s WHERE id = %s", (Jsonb(dict(snapshot)), cutover_id))
        connection.commit()


_RUN = ("state", "rows_read", "rows_applied", "rows_dlq", "rows_total", "rows_per_s")


def backfill_run(database: Database, cutover_id: int, spec_digest: str) -> Mapping[str, Any] | None:
    """State and rows of the backfill of this cutover from this source; what is not known of it is None."""
    rows = read(database, sql.SQL(
        "SELECT state, rows_read, rows_applied, rows_dlq, (to_jsonb(r) ->> 'rows_total')::bigint, "
        "(to_jsonb(r) ->> 'rows_per_s')::float8 FROM bo.backfill_runs r "
        "WHERE cutover_id = %(id)s AND spec_digest = %(digest)s"), {"id": cutover_id, "digest": spec_digest})
    return dict(zip(_RUN, rows[0], strict=True)) if rows else None


def last_backfill_run(database: Database, cutover_id: int) -> Mapping[str, Any] | None:
    """The newest backfill run of a cutover, as `backfill_run` tells one, with `started_at`, `finished_at` and `newest`,
    the latest event time that it read."""
    rows = read(database, sql.SQL(
        "SELECT r.state, r.rows_read, r.rows_applied, r.rows_dlq, (to_jsonb(r) ->> 'rows_total')::bigint, "
        "(to_jsonb(r) ->> 'rows_per_s')::float8, r.started_at, r.finished_at, (SELECT max((to_jsonb(c) ->> "
        "'last_time')::timestamptz) FROM bo.backfill_checkpoints c WHERE (c.cutover_id, c.spec_digest) = "
        "(r.cutover_id, r.spec_digest)) FROM bo.backfill_runs r "
        "WHERE cutover_id = %(id)s ORDER BY started_at DESC LIMIT 1"), {"id": cutover_id})
    return dict(zip((*_RUN, "started_at", "finished_at", "newest"), rows[0], strict=True)) if rows else None


def remaining_s(run: Mapping[str, Any] | None) -> float | None:
    """How many seconds a run still reads at its own measured rate; None where nobody can tell."""
    if run is None or run["rows_total"] is None or not run["rows_per_s"]:
        return None
    return float(max(run["rows_total"] - run["rows_read"], 0) / run["rows_per_s"])


def insert_reprocessing(database: Database, cutover_id: int, asked: Attributes, begin: Offsets, end: Offsets) -> None:
    """Keep that a cutover's group was set back to `begin`, when its log ended at `end`."""
    with database.connect(MIGRATOR) as connection:
        connection.execute(
            "INSERT INTO bo.reprocessings (cutover_id, asked, from_offsets, to_offsets) VALUES (%s, %s, %s, %s)",
            (cutover_id, Jsonb(dict(asked)), Jsonb(offsets_to_json(begin)), Jsonb(offsets_to_json(end))))
        connection.commit()


def reprocessings(database: Database, cutover_id: int) -> list[Reprocessing]:
    """All reprocessings under a cutover, oldest first; none before the revision that brings them."""
    return [Reprocessing(at, asked, offsets_from_json(begin), offsets_from_json(end))
            for at, asked, begin, end in read(database, sql.SQL(
                "SELECT at, asked, from_offsets, to_offsets FROM bo.reprocessings WHERE cutover_id = %(id)s "
                "ORDER BY id"), {"id": cutover_id})]


def last_proof(database: Database, step: str) -> Proof | None:
    """The newest proof of a smoke or gate step."""
    rows = read(database, sql.SQL(
        "SELECT subject_digest, outcome, finished_at, detail FROM bo.proofs WHERE step = %(step)s "
        "ORDER BY id DESC LIMIT 1"), {"step": step})
    return Proof(*rows[0]) if rows else None


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a gate or smoke step, as it is kept."""

    step: str
    outcome: str
    at: datetime
    detail: Mapping[str, Any]


def gate_answers(database: Database, gate: str | None, limit: int) -> list[Answer]:
    """The newest `limit` answers of one gate, or of each, oldest first."""
    rows = read(database, sql.SQL(
        "SELECT step, outcome, finished_at, detail FROM (SELECT *, row_number() OVER (PARTITION BY step ORDER BY id "
        "DESC) AS age FROM bo.proofs WHERE step LIKE 'gate.%%') p "
        "WHERE age <= %(limit)s AND (%(gate)s::text IS NULL OR step = 'gate.' || %(gate)s) ORDER BY step, id"),
        {"limit": limit, "gate": gate})
    return [Answer(*row) for row in rows]


def insert_proof(database: Database, step: str, subject: str, outcome: str, started: datetime,
                 detail: Mapping[str, Any]) -> None:
    """Keep one proof; `started` is when its run began, it ends now."""
    with database.connect(MIGRATOR) as connection:
        connection.execute(
            "INSERT INTO bo.proofs (step, subject_digest, outcome, started_at, finished_at, detail) "
            "VALUES (%s, %s, %s, %s, now(), %s)", (step, subject, outcome, started, Jsonb(dict(detail))))
        connection.commit()


def value(connection: Connection[tuple[Any, ...]], query: str, *parameters: Any) -> Any:
    """The first column of the first row, or None."""
    row = connection.execute(query.encode(), parameters).fetchone()
    return None if row is None else row[0]
