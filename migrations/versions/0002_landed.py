"""What landed: the fingerprint of every applied revision, and the schema that they make.

Revision: 0002. A landed revision never changes (P4.3), and nobody changes the schema by hand (P4.6); both are seen
because it is kept here what was applied. Nobody but the owner reads or writes it.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

REVISIONS = """
CREATE TABLE bo.landed_revisions (
    revision text PRIMARY KEY,
    down_revision text NOT NULL,
    digest text NOT NULL,
    landed_at timestamptz NOT NULL DEFAULT now()
)
"""
# One row an object of the schema, as the revisions alone make it.
CATALOG = """
CREATE TABLE bo.landed_catalog (
    object text PRIMARY KEY,
    definition text NOT NULL
)
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(REVISIONS)
    op.execute(CATALOG)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP TABLE bo.landed_catalog, bo.landed_revisions")
