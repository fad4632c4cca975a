"""The schema `bo`: entities, pairing, dead letters, audit, and the records of cutover, backfill and gates.

Revision: 0001, the first. A landed revision never changes (P4.3).
Runs as the database's owner (`bo_migrator`), which then owns everything here. Roles that are missing are
made without a login, so the same revision runs on a bare server. Needs PostgreSQL 18 (RETURNING old).
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROLES = """
DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['bo_migrator', 'bo_consumer', 'bo_api'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
END $$
"""

# The last part of the total order, and the fingerprint that reconciliation compares. It is computed from the
# typed columns (so never from a text form that depends on a time zone or a number's spelling), in one place
# for stream, backfill and proof. Identifiers are opaque: collation C compares their bytes.
LEDGER_HASH = """
CREATE FUNCTION bo.ledger_entry_hash(
    tx_id text, wallet_id text, entry_type text, amount numeric, amount_signed numeric, related_id text,
    related_type text, event_time timestamptz, created_at timestamptz, updated_at timestamptz, version bigint
) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN hash_record_extended(ROW(tx_id, wallet_id, entry_type, amount, amount_signed, related_id,
                                related_type, event_time, created_at, updated_at, version), 0)
"""
ORDER_HASH = """
CREATE FUNCTION bo.payment_order_hash(
    order_id text, user_id text, merchant_name text, amount numeric, status text,
    created_at timestamptz, updated_at timestamptz, version bigint
) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN hash_record_extended(ROW(order_id, user_id, merchant_name, amount, status,
                                created_at, updated_at, version), 0)
"""

LEDGER = """
CREATE TABLE bo.ledger_entries (
    tx_id text COLLATE "C" PRIMARY KEY,
    wallet_id text COLLATE "C" NOT NULL,
    entry_type text NOT NULL,
    amount numeric(18,2) NOT NULL,
    amount_signed numeric(18,2),
    related_id text COLLATE "C",
    related_type text,
    event_time timestamptz NOT NULL,
    created_at timestamptz,
    updated_at timestamptz,
    version bigint NOT NULL DEFAULT 0,
    row_hash bigint NOT NULL GENERATED ALWAYS AS (bo.ledger_entry_hash(
        tx_id, wallet_id, entry_type, amount, amount_signed, related_id, related_type,
        event_time, created_at, updated_at, version)) STORED,
    ingested_at timestamptz NOT NULL DEFAULT now(),
    src text NOT NULL CHECK (src IN ('backfill', 'stream')),
    src_partition integer,
    src_offset bigint
)
"""
LEDGER_INDEXES = (
    "CREATE INDEX ledger_entries_related ON bo.ledger_entries (related_id) WHERE related_id IS NOT NULL",
    "CREATE INDEX ledger_entries_wallet ON bo.ledger_entries (wallet_id, event_time DESC)",
)
ORDERS = """
CREATE TABLE bo.payment_orders (
    order_id text COLLATE "C" PRIMARY KEY,
    user_id text,
    merchant_name text,
    amount numeric(18,2) NOT NULL,
    status text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    version bigint NOT NULL DEFAULT 0,
    row_hash bigint NOT NULL GENERATED ALWAYS AS (bo.payment_order_hash(
        order_id, user_id, merchant_name, amount, status, created_at, updated_at, version)) STORED,
    ingested_at timestamptz NOT NULL DEFAULT now(),
    src text NOT NULL CHECK (src IN ('backfill', 'stream')),
    src_partition integer,
    src_offset bigint
)
"""

STATUS_GROUP = """
CREATE FUNCTION bo.status_group(status text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN upper(status) IN ('SETTLED', 'COMPLETED', 'SUCCESS', 'SUCCEEDED', 'PAID') THEN 'SUCCESS'
    WHEN upper(status) IN ('FAILED', 'CANCELLED', 'CANCELED', 'REJECTED', 'DECLINED') THEN 'FAIL'
    WHEN upper(status) IN ('CREATED', 'PENDING', 'PROCESSING', 'AUTHORIZED') THEN 'IN_PROGRESS'
    ELSE 'UNKNOWN'
END
"""
# A doubled side is told before a missing one: it is wrong whatever else arrives.
PAIRING_STATUS = """
CREATE FUNCTION bo.pairing_status(
    senders bigint, receivers bigint, sender_amount numeric, receiver_amount numeric, order_amount numeric
) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN senders > 1 OR receivers > 1 THEN 'MISMATCH'
    WHEN coalesce(senders, 0) = 0 OR coalesce(receivers, 0) = 0 THEN 'INCOMPLETE'
    WHEN sender_amount <> receiver_amount OR sender_amount <> order_amount THEN 'MISMATCH'
    ELSE 'COMPLETE'
END
"""
# Pairs are computed when they are read. A kept table would need a lock on every related_id (the two rows
# of a pair may be handled at once by two consumers) and a third write for every payment; read from the two
# rows by their index, the answer is right at once, whatever the order of arrival.
LEDGER_SIDES = """
CREATE VIEW bo.ledger_sides AS
SELECT related_id,
       CASE WHEN entry_type IN ('PAYMENT', 'RECEIVE') THEN 'PAYMENT' ELSE 'REFUND' END AS pair_kind,
       count(*) FILTER (WHERE entry_type IN ('PAYMENT', 'REFUND_OUT')) AS senders,
       count(*) FILTER (WHERE entry_type IN ('RECEIVE', 'REFUND_IN')) AS receivers,
       min(tx_id) FILTER (WHERE entry_type IN ('PAYMENT', 'REFUND_OUT')) AS sender_tx_id,
       min(tx_id) FILTER (WHERE entry_type IN ('RECEIVE', 'REFUND_IN')) AS receiver_tx_id,
       min(wallet_id) FILTER (WHERE entry_type IN ('PAYMENT', 'REFUND_OUT')) AS sender_wallet_id,
       min(wallet_id) FILTER (WHERE entry_type IN ('RECEIVE', 'REFUND_IN')) AS receiver_wallet_id,
       min(amount) FILTER (WHERE entry_type IN ('PAYMENT', 'REFUND_OUT')) AS sender_amount,
       min(amount) FILTER (WHERE entry_type IN ('RECEIVE', 'REFUND_IN')) AS receiver_amount,
       sum(amount_signed) AS net_amount,
       max(event_time) AS last_event_time
FROM bo.ledger_entries
WHERE related_id IS NOT NULL AND related_type = 'PAYMENT_ORDER'
  AND entry_type IN ('PAYMENT', 'RECEIVE', 'REFUND_OUT', 'REFUND_IN')
GROUP BY 1, 2
"""
PAIRS = """
CREATE VIEW bo.payment_ledger_pairs AS
SELECT s.*, o.amount AS order_amount, o.status AS order_status,
       bo.pairing_status(s.senders, s.receivers, s.sender_amount, s.receiver_amount, o.amount)
           AS pairing_status
FROM bo.ledger_sides s LEFT JOIN bo.payment_orders o ON o.order_id = s.related_id
"""

DLQ = """
CREATE TABLE bo.consumer_dlq_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    key bytea,
    payload bytea,
    error_class text NOT NULL,
    error_detail text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    UNIQUE (topic, partition, "offset")
)
"""
DLQ_INDEX = "CREATE INDEX consumer_dlq_events_created ON bo.consumer_dlq_events (created_at)"
AUDIT = """
CREATE TABLE bo.admin_audit_logs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    result_count integer NOT NULL,
    status integer NOT NULL
)
"""
CUTOVERS = """
CREATE TABLE bo.cutovers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    generation integer NOT NULL UNIQUE,
    state text NOT NULL CHECK (state IN ('recorded', 'backfilling', 'backfilled', 'syncing', 'abandoned')),
    t_cutover timestamptz NOT NULL,
    skew interval NOT NULL,
    consumer_group text NOT NULL UNIQUE,
    start_offsets jsonb NOT NULL,
    source jsonb NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    instance text NOT NULL
)
"""
BACKFILL_RUNS = """
CREATE TABLE bo.backfill_runs (
    cutover_id bigint NOT NULL REFERENCES bo.cutovers (id),
    spec_digest text NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'done')),
    rows_read bigint NOT NULL DEFAULT 0,
    rows_applied bigint NOT NULL DEFAULT 0,
    rows_dlq bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (cutover_id, spec_digest)
)
"""
# position: where the next chunk begins, in the part's own unit (bytes, rows or the last key).
BACKFILL_CHECKPOINTS = """
CREATE TABLE bo.backfill_checkpoints (
    cutover_id bigint NOT NULL,
    spec_digest text NOT NULL,
    part text NOT NULL,
    fingerprint text NOT NULL,
    position text NOT NULL,
    rows_read bigint NOT NULL DEFAULT 0,
    rows_applied bigint NOT NULL DEFAULT 0,
    rows_duplicate bigint NOT NULL DEFAULT 0,
    rows_stale bigint NOT NULL DEFAULT 0,
    rows_conflict bigint NOT NULL DEFAULT 0,
    rows_dlq bigint NOT NULL DEFAULT 0,
    rows_left bigint NOT NULL DEFAULT 0,
    done boolean NOT NULL DEFAULT false,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cutover_id, spec_digest, part),
    FOREIGN KEY (cutover_id, spec_digest) REFERENCES bo.backfill_runs (cutover_id, spec_digest)
)
"""
# applied_offset and end_offset are both exclusive: the next offset to apply, and the log's end.
STREAM_PROGRESS = """
CREATE TABLE bo.stream_progress (
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    applied_offset bigint NOT NULL,
    end_offset bigint NOT NULL,
    caught_up_at timestamptz NOT NULL,
    consumed bigint NOT NULL DEFAULT 0,
    applied bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    stale bigint NOT NULL DEFAULT 0,
    conflict bigint NOT NULL DEFAULT 0,
    dlq bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, topic, partition)
)
"""
PROOFS = """
CREATE TABLE bo.proofs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    step text NOT NULL,
    subject_digest text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('pass', 'fail', 'no-data')),
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    detail jsonb NOT NULL
)
"""

# The consumer reads progress of its own and the API reads it for the lag; nobody but the owner may delete,
# see the audit rows, or touch a cutover or a proof.
GRANTS = (
    "GRANT USAGE ON SCHEMA bo TO bo_api, bo_consumer",
    "GRANT SELECT ON bo.ledger_entries, bo.payment_orders, bo.ledger_sides, bo.payment_ledger_pairs, "
    "bo.stream_progress, bo.consumer_dlq_events TO bo_api, bo_consumer",
    "GRANT INSERT ON bo.admin_audit_logs TO bo_api",
    "GRANT INSERT, UPDATE ON bo.ledger_entries, bo.payment_orders, bo.consumer_dlq_events, "
    "bo.stream_progress TO bo_consumer",
    "GRANT SELECT, INSERT, UPDATE ON bo.backfill_runs, bo.backfill_checkpoints TO bo_consumer",
    """
DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO bo_api, bo_consumer', current_database());
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO bo_consumer', current_database());
END $$
""",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    statements = (
        ROLES, LEDGER_HASH, ORDER_HASH, LEDGER, *LEDGER_INDEXES, ORDERS, STATUS_GROUP, PAIRING_STATUS,
        LEDGER_SIDES, PAIRS, DLQ, DLQ_INDEX, AUDIT, CUTOVERS, BACKFILL_RUNS, BACKFILL_CHECKPOINTS,
        STREAM_PROGRESS, PROOFS, *GRANTS,
    )  # fmt: skip
    for statement in statements:
        op.execute(statement)


def downgrade() -> None:
    # alembic_version itself lives in `bo`, so what this revision made is dropped, not the schema.
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP VIEW bo.payment_ledger_pairs, bo.ledger_sides")
    op.execute(
        "DROP TABLE bo.proofs, bo.stream_progress, bo.backfill_checkpoints, bo.backfill_runs, bo.cutovers, "
        "bo.admin_audit_logs, bo.consumer_dlq_events, bo.payment_orders, bo.ledger_entries"
    )
    op.execute("DROP FUNCTION bo.pairing_status, bo.status_group, bo.payment_order_hash, bo.ledger_entry_hash")
