"""The schema's catalog: what the database holds, object by object, and how it differs from what landed (P4.3, P4.6).

Owns the SQL of `bo.landed_revisions` and `bo.landed_catalog`, and which objects count. Must not: decide anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from psycopg import Connection, sql

from engine.kinds.records import read
from engine.kinds.wiring import MIGRATOR
from engine.providers.base import Database

Catalog = Mapping[str, str]
"""Object to definition, such as `column bo.payment_orders.amount` to `numeric(18,2) not null`."""

_OBJECTS = sql.SQL("""
WITH own AS (
    SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), relations AS (
    SELECT c.oid, c.relkind, c.relacl, c.relowner, format('%%I.%%I', nspname, relname) AS name
    FROM pg_class c JOIN own ON own.oid = c.relnamespace
)
SELECT CASE relkind WHEN 'r' THEN 'table ' WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view '
            WHEN 'S' THEN 'sequence ' ELSE 'relation ' END || name,
       concat_ws(' ', 'owner', relowner::regrole, 'grants', relacl::text,
                 CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid) END)
FROM relations WHERE relkind IN ('r', 'v', 'm', 'S', 'f', 'p')
UNION ALL
SELECT format('column %%s.%%I', name, attname),
       concat_ws(' ', format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'not null' END,
                 CASE WHEN attcollation <> 0 THEN 'collate ' || attcollation::regcollation END,
                 CASE attgenerated WHEN 's' THEN 'stored' WHEN 'v' THEN 'virtual' END,
                 CASE WHEN attidentity <> '' THEN 'identity' END, 'default ' || pg_get_expr(d.adbin, d.adrelid))
FROM relations JOIN pg_attribute a ON a.attrelid = relations.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE relkind IN ('r', 'f', 'p')
UNION ALL
SELECT format('constraint %%s.%%I', name, conname), pg_get_constraintdef(con.oid)
FROM relations JOIN pg_constraint con ON con.conrelid = relations.oid
UNION ALL
SELECT 'index ' || name, pg_get_indexdef(oid) FROM relations WHERE relkind IN ('i', 'I')
UNION ALL
SELECT format('trigger %%s.%%I', name, tgname), pg_get_triggerdef(t.oid)
FROM relations JOIN pg_trigger t ON t.tgrelid = relations.oid WHERE NOT tgisinternal
UNION ALL
SELECT 'function ' || p.oid::regprocedure, concat_ws(' ', pg_get_functiondef(p.oid), 'grants', proacl::text)
FROM pg_proc p JOIN own ON own.oid = p.pronamespace WHERE p.prokind IN ('f', 'p')
ORDER BY 1
""")

_KEPT = sql.SQL("SELECT object, definition FROM bo.landed_catalog")
_LANDED = sql.SQL("SELECT revision, down_revision, digest FROM bo.landed_revisions ORDER BY revision")


def live_catalog(database: Database) -> dict[str, str]:
    """What the environment's database holds now."""
    return dict(read(database, _OBJECTS, {}))


def catalog_of(connection: Connection[tuple[Any, ...]]) -> dict[str, str]:
    """What the database behind a connection holds."""
    return dict(connection.execute(_OBJECTS, {}).fetchall())


def kept_catalog(database: Database) -> dict[str, str]:
    """What the landed revisions make; empty before anything landed."""
    return dict(read(database, _KEPT, {}))


def landed(database: Database) -> list[dict[str, str]]:
    """Revision, down_revision and digest of all that landed."""
    return [dict(zip(("revision", "down", "digest"), row, strict=True)) for row in read(database, _LANDED, {})]


def land(database: Database, chain: Iterable[Mapping[str, str]], catalog: Catalog) -> None:
    """Keep the fingerprints of revisions that were applied, and the schema that they make. What landed before keeps
    its own fingerprint."""
    with database.connect(MIGRATOR) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO bo.landed_revisions (revision, down_revision, digest) VALUES (%s, %s, %s) "
            "ON CONFLICT DO NOTHING", [(r["revision"], r["down"], r["digest"]) for r in chain])
        cursor.execute("DELETE FROM bo.landed_catalog")
        cursor.executemany("INSERT INTO bo.landed_catalog (object, definition) VALUES (%s, %s)",
                           sorted(catalog.items()))
        connection.commit()


def differences(kept: Catalog, live: Catalog) -> list[str]:
    """How the live schema differs from what landed, in words, by object; empty where it does not."""
    found = []
    for name in sorted(kept.keys() | live.keys()):
        if name not in live:
            found.append(f"{name} is missing")
        elif name not in kept:
            found.append(f"{name} was added")
        elif kept[name] != live[name]:
            found.append(f"{name} is {_short(live[name])} and not {_short(kept[name])}")
    return found


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:79]}…"
