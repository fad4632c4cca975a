"""The stream's books: how many offsets were consumed for the first time, so that one that was passed over is seen.

Revision: 0003. A landed revision never changes (P4.3). `fresh` never grows by a redelivery: as long as nothing was lost
it is `applied_offset` less the offset at which the group began.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMN = "ALTER TABLE bo.stream_progress ADD COLUMN fresh bigint NOT NULL DEFAULT 0"
# What was booked before this revision is taken as whole: nothing tells otherwise.
BEFORE = """
UPDATE bo.stream_progress p
SET fresh = p.applied_offset - (c.start_offsets -> p.topic ->> p.partition::text)::bigint
FROM bo.cutovers c
WHERE c.consumer_group = p.consumer_group AND c.start_offsets -> p.topic ? p.partition::text
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(COLUMN)
    op.execute(BEFORE)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE bo.stream_progress DROP COLUMN fresh")
