"""The audit's reviewer: the one role that reads who looked what up.

Revision: 0004. `bo_reviewer` has no login of its own: the migrator takes the role to read (`txplan audit`), and a
server's administrator may grant it to a person's login. It reads the audit and nothing else. The audit grows by
time, so that a block range index finds a window of it.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ROLE = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'bo_reviewer') THEN
        CREATE ROLE bo_reviewer NOLOGIN;
    END IF;
END $$
"""
# Who made the role may give it to itself; it is taken by SET ROLE alone and lends nothing unasked.
TAKE = "GRANT bo_reviewer TO bo_migrator WITH INHERIT FALSE, SET TRUE"
GRANTS = (
    "GRANT USAGE ON SCHEMA bo TO bo_reviewer",
    "GRANT SELECT ON bo.admin_audit_logs TO bo_reviewer",
    """
DO $$
BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO bo_reviewer', current_database());
END $$
""",
)
INDEX = "CREATE INDEX admin_audit_logs_at ON bo.admin_audit_logs USING brin (at)"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in (ROLE, TAKE, *GRANTS, INDEX):
        op.execute(statement)


def downgrade() -> None:
    # The role is the server's, and other databases may need it: what it was given here is taken back.
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP INDEX bo.admin_audit_logs_at")
    op.execute("REVOKE ALL ON bo.admin_audit_logs FROM bo_reviewer")
    op.execute("REVOKE ALL ON SCHEMA bo FROM bo_reviewer")
    op.execute(
        "DO $$ BEGIN EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM bo_reviewer', current_database()); END $$"
    )
