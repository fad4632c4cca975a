"""The tables' content as two numbers, without ingest and source columns: equal content, equal digest."""

from __future__ import annotations

import psycopg
from psycopg.rows import TupleRow

from engine.kinds.fingerprint import fingerprints

Digest = dict[str, tuple[int, int]]


def table_digest(conn: psycopg.Connection[TupleRow]) -> Digest:
    """Table to (rows, hash), as `txplan fingerprint` tells them."""
    return {f"bo.{found.table}": (found.rows, int(found.hash, 16)) for found in fingerprints(conn)}
