"""The stream's books: where they begin, and how many offsets were passed over since, so that a lost record is seen.

Revision: 0003. A landed revision never changes (P4.3). `began_at` is unknown for rows that were there before; what a
consumer of an older revision writes meanwhile counts nothing as passed over.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE bo.stream_progress
    ADD COLUMN began_at bigint,
    ADD COLUMN passed_over bigint NOT NULL DEFAULT 0
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(COLUMNS)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE bo.stream_progress DROP COLUMN began_at, DROP COLUMN passed_over")
