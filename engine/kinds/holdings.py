"""What the stores of an environment hold that would go with them (P11.3): rows of the tables, events of the hubs.

Reads only, and cheaply: it is read for every plan. Must not: say how any of it comes back.
"""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import errors, sql

from engine.kinds.records import read
from engine.kinds.wiring import MIGRATOR
from engine.model.diagnostic import Refused
from engine.model.value import Value
from engine.providers.base import Broker, Database

_COUNTS = sql.SQL("""
    SELECT (SELECT coalesce(sum(rows_applied), 0) FROM bo.backfill_runs),
           (SELECT coalesce(sum(applied), 0) FROM bo.stream_progress),
           (SELECT count(*) FROM bo.consumer_dlq_events WHERE resolved_at IS NULL),
           (SELECT EXISTS (SELECT FROM bo.admin_audit_logs))""")

# Where the stream has written once, its rows may be few and far behind those of the backfill: a look that takes longer
# than this is not worth it for a plan.
_PATIENCE = sql.SQL("SET LOCAL statement_timeout = '1s'")
_STREAMED = sql.SQL("""
    SELECT EXISTS (SELECT FROM bo.ledger_entries WHERE src = 'stream')
        OR EXISTS (SELECT FROM bo.payment_orders WHERE src = 'stream')""")


def tables(database: Database) -> dict[str, Value]:
    """{backfill, stream, dead_letters, audited}: rows that the backfill applied, rows that the stream applied (0 where
    none of them is left), broken events that nobody resolved, and whether look-ups were audited; {} without tables."""
    rows = read(database, _COUNTS, {})
    if not rows:
        return {}
    backfill, stream, dead, audited = rows[0]
    if stream and not _streamed(database):
        stream = 0
    return {"backfill": int(backfill), "stream": int(stream), "dead_letters": int(dead), "audited": bool(audited)}


def _streamed(database: Database) -> bool:
    try:
        with database.connect(MIGRATOR) as connection:
            connection.execute(_PATIENCE)
            return connection.execute(_STREAMED).fetchone() == (True,)
    except errors.QueryCanceled:
        return True


def events(broker: Broker, topics: Iterable[str]) -> dict[str, int]:
    """How many events each topic holds; a topic that is not there is left out."""
    found = {}
    for topic in topics:
        try:
            earliest, latest = broker.earliest_offsets(topic), broker.latest_offsets(topic)
        except Refused:
            continue
        found[topic] = sum(offset - earliest.get(partition, 0) for partition, offset in latest.items())
    return found
