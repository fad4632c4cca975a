"""What a cutover was taken from, how far its backfill is, and what was reprocessed.

Revision: 0005. Only additions: what runs goes on while this runs. `taken` holds the circumstances (clocks, retention,
the log's start), `snapshot` what the backfill read of the source; rates are rows a second.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

REPROCESSINGS = """
CREATE TABLE bo.reprocessings (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cutover_id bigint NOT NULL,
    asked jsonb NOT NULL,
    from_offsets jsonb NOT NULL,
    to_offsets jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
)
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE bo.cutovers ADD COLUMN taken jsonb NOT NULL DEFAULT '{}', "
               "ADD COLUMN snapshot jsonb NOT NULL DEFAULT '{}'")
    op.execute("ALTER TABLE bo.backfill_runs ADD COLUMN rows_total bigint, ADD COLUMN rows_per_s double precision")
    op.execute("ALTER TABLE bo.backfill_checkpoints ADD COLUMN last_time timestamptz")
    op.execute(REPROCESSINGS)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP TABLE bo.reprocessings")
    op.execute("ALTER TABLE bo.backfill_checkpoints DROP COLUMN last_time")
    op.execute("ALTER TABLE bo.backfill_runs DROP COLUMN rows_per_s, DROP COLUMN rows_total")
    op.execute("ALTER TABLE bo.cutovers DROP COLUMN snapshot, DROP COLUMN taken")
