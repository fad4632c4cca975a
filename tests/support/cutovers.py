"""A cutover's record, as the engine writes one before it starts a backfill."""

from __future__ import annotations

import psycopg
from psycopg.rows import TupleRow


def record_cutover(conn: psycopg.Connection[TupleRow], generation: int = 1) -> int:
    """Writes the record as the connection's role; its id."""
    row = conn.execute(
        "INSERT INTO bo.cutovers (generation, state, t_cutover, skew, consumer_group, start_offsets, source, "
        "instance) VALUES (%s, 'recorded', now(), '5 min', %s, '{}', '{}', 'test') RETURNING id",
        (generation, f"bo-sync-test-kim-v{generation}"),
    ).fetchone()
    assert row is not None
    cutover: int = row[0]
    return cutover
