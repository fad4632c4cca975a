"""What cutover, backfill, smoke and gates record in the environment's database (schema `bo`), read and written.

Owns the SQL of `bo.cutovers`, `bo.backfill_runs` and `bo.proofs` as the engine uses them. Must not: decide anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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

_CUTOVER = sql.SQL("""
    SELECT id, generation, state, t_cutover, skew, consumer_group, start_offsets, source
    FROM bo.cutovers WHERE state <> 'abandoned' ORDER BY id DESC LIMIT 1""")


def active_cutover(database: Database) -> CutoverRecord | None:
    """The newest cutover that was not abandoned."""
    rows = read(database, _CUTOVER, {})
    if not rows:
        return None
    id_, generation, state, t_cutover, skew, group, offsets, requested = rows[0]
    return CutoverRecord(id_, generation, state, t_cutover, skew, group, offsets_from_json(offsets), requested)


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
            "instance) VALUES (%s, 'recorded', %s, %s, %s, %s, %s, %s) RETURNING id",
            (record.generation, record.t_cutover, record.skew, record.group,
             Jsonb(offsets_to_json(record.start_offsets)), Jsonb(dict(record.requested)), instance)).fetchone()
        connection.commit()
    assert row is not None
    return int(row[0])


def set_cutover_state(database: Database, cutover_id: int, state: str) -> None:
    """Move a cutover to `state`; never back from `syncing`."""
    with database.connect(MIGRATOR) as connection:
        connection.execute("UPDATE bo.cutovers SET state = %s WHERE id = %s AND state <> 'syncing'",
                           (state, cutover_id))
        connection.commit()


def backfill_run(database: Database, cutover_id: int, spec_digest: str) -> Mapping[str, Any] | None:
    """State and rows of the backfill of this cutover from this source."""
    rows = read(database, sql.SQL(
        "SELECT state, rows_read, rows_applied, rows_dlq FROM bo.backfill_runs "
        "WHERE cutover_id = %(id)s AND spec_digest = %(digest)s"), {"id": cutover_id, "digest": spec_digest})
    return dict(zip(("state", "rows_read", "rows_applied", "rows_dlq"), rows[0], strict=True)) if rows else None


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
