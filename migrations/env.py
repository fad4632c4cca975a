"""Alembic's environment: where the schema `bo` is migrated, and in which transaction.

Owns the connection (libpq's PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD, PGSSLMODE: no address and no
secret in a file or an argument) and the place of `alembic_version` (schema `bo`). Must not hold any schema
change: those are revisions (P4.1). `alembic upgrade head --sql` prints the same steps without a server.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool, text

SCHEMA = "bo"
# The version table lives in the schema, so the schema must be there before the first revision runs.
CREATE_SCHEMA = f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"


def migrate_offline() -> None:
    context.configure(
        dialect_name="postgresql",
        version_table_schema=SCHEMA,
        transaction_per_migration=True,
        literal_binds=True,
        # Otherwise a percent sign would be doubled, as if a driver were to read the script.
        dialect_opts={"paramstyle": "named"},
    )
    context.execute(CREATE_SCHEMA)
    with context.begin_transaction():
        context.run_migrations()


def migrate_online() -> None:
    engine = create_engine("postgresql+psycopg://", poolclass=pool.NullPool)
    with engine.connect() as connection:
        # Two migrations at once would run one revision twice: the second waits here, then finds head.
        connection.execute(text("SELECT pg_advisory_lock(hashtextextended('txplan.migrate', 0))"))
        connection.execute(text(CREATE_SCHEMA))
        connection.commit()
        context.configure(connection=connection, version_table_schema=SCHEMA, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    migrate_offline()
else:
    migrate_online()
