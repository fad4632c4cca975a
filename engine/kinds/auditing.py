"""The audit trail, read as its reviewer.

Owns the query on `bo.admin_audit_logs` and the role that asks it. Must not: read anything else, or write.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime

from psycopg import errors, sql
from psycopg.rows import class_row

from engine.kinds.wiring import MIGRATOR
from engine.model.diagnostic import Refused, error
from engine.providers.base import Database

REVIEWER = "bo_reviewer"
"""Reads the audit and nothing else; it has no login, so the migrator takes the role."""

_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which calls: all that is set must hold; `limit` counts from the newest."""

    actor: str | None = None
    target: str | None = None
    status: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call to the API: who (`-` without a valid credential), what, when, how it was answered. Status 0: `results`
    refused calls that were too many to be recorded singly."""

    at: datetime
    actor: str
    action: str
    target: str
    results: int
    status: int


_QUERY = sql.SQL("""
SELECT at, actor, action, target, result_count AS results, status FROM (
    SELECT * FROM bo.admin_audit_logs
    WHERE (%(actor)s::text IS NULL OR actor = %(actor)s) AND (%(status)s::int IS NULL OR status = %(status)s)
      AND (%(target)s::text IS NULL OR position(%(target)s::text IN target) > 0)
      AND (%(since)s::timestamptz IS NULL OR at >= %(since)s) AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
    ORDER BY at DESC, id DESC LIMIT %(limit)s
) newest ORDER BY at, id
""")


def audited(database: Database, wanted: Wanted) -> Iterator[Call]:
    """The calls, oldest first, fetched piece by piece. Refused where the schema has no reviewer yet."""
    with database.connect(MIGRATOR) as connection:
        try:
            connection.execute(sql.SQL("SET TRANSACTION READ ONLY"))
            connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(REVIEWER)))
        except (errors.UndefinedObject, errors.InvalidParameterValue, errors.InsufficientPrivilege) as problem:
            raise Refused([error("no-reviewer", "The environment's schema has no reviewer of the audit yet.",
                                 mend="Apply the manifest, which migrates it.")]) from problem
        with connection.cursor("audit", row_factory=class_row(Call)) as cursor:
            cursor.itersize = _AT_ONCE
            cursor.execute(_QUERY, asdict(wanted))
            yield from cursor
