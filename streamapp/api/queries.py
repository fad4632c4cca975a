"""What the API asks the database: one statement a look-up, and the shape of its answer.

Owns: the SQL and the rows as plain dictionaries. Must not: know HTTP, or compute a pairing or a
status group itself; the schema's functions do, so that the API and the gates say the same.
Amounts stay Decimals (two places), times aware datetimes in UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import asyncpg  # type: ignore[import-untyped]

# OFFSET 0 keeps the planner from pulling the look-up out of the LATERAL: inside it, `related_id` reaches
# the view's index scan; outside, the view would be aggregated whole.
_SIDES = """
    LEFT JOIN LATERAL (
        SELECT s.* FROM bo.ledger_sides s
        WHERE s.related_id = {related} AND s.pair_kind = {kind}
        OFFSET 0
    ) p ON true
"""

TX = f"""
SELECT l.tx_id, l.event_time, l.entry_type, l.amount, l.amount_signed,
       o.status, bo.status_group(o.status) AS status_group,
       p.sender_wallet_id, p.receiver_wallet_id, l.related_id, l.related_type,
       CASE WHEN l.entry_type IN ('PAYMENT', 'REFUND_OUT') THEN p.receiver_tx_id ELSE p.sender_tx_id END
           AS paired_tx_id,
       o.merchant_name,
       CASE WHEN p.related_id IS NULL THEN 'UNKNOWN'
            ELSE bo.pairing_status(p.senders, p.receivers, p.sender_amount, p.receiver_amount,
                                   CASE WHEN p.pair_kind = 'PAYMENT' THEN o.amount END)
       END AS pairing_status
FROM bo.ledger_entries l
LEFT JOIN bo.payment_orders o ON o.order_id = l.related_id AND l.related_type = 'PAYMENT_ORDER'
{
    _SIDES.format(
        related="CASE WHEN l.related_type = 'PAYMENT_ORDER' THEN l.related_id END",
        kind='''CASE WHEN l.entry_type IN ('PAYMENT', 'RECEIVE') THEN 'PAYMENT'
                 WHEN l.entry_type IN ('REFUND_OUT', 'REFUND_IN') THEN 'REFUND' END''',
    )
}
WHERE l.tx_id = $1
"""  # noqa: S608 - both parts are constants of this module

ORDER = f"""
SELECT o.order_id, o.user_id, o.merchant_name, o.amount, o.status,
       bo.status_group(o.status) AS status_group, o.created_at, o.updated_at, o.version,
       p.sender_tx_id, p.receiver_tx_id, p.sender_wallet_id, p.receiver_wallet_id,
       bo.pairing_status(p.senders, p.receivers, p.sender_amount, p.receiver_amount, o.amount)
           AS pairing_status
FROM bo.payment_orders o
{_SIDES.format(related="o.order_id", kind="'PAYMENT'")}
WHERE o.order_id = $1
"""  # noqa: S608 - as above

WALLET = """
SELECT tx_id, event_time, entry_type, amount, amount_signed, related_id, related_type
FROM bo.ledger_entries
WHERE wallet_id = $1
  AND event_time >= coalesce($2::timestamptz, '-infinity')
  AND event_time < coalesce($3::timestamptz, 'infinity')
ORDER BY event_time DESC, tx_id
LIMIT $4
"""

# Ids are compared by the database as they are; a timeout of the statement ends what hangs.
TIMEOUT_SECONDS = 5.0


def _nested(row: asyncpg.Record) -> dict[str, Any]:
    fields = dict(row)
    related = {"related_id": fields.pop("related_id"), "related_type": fields.pop("related_type")}
    return {**fields, "related": related}


async def transaction(pool: asyncpg.Pool, tx_id: str) -> dict[str, Any] | None:
    """A ledger entry with its order and pair, or None."""
    row = await pool.fetchrow(TX, tx_id, timeout=TIMEOUT_SECONDS)
    return None if row is None else _nested(row)


async def payment_order(pool: asyncpg.Pool, order_id: str) -> dict[str, Any] | None:
    """A payment order with its payment's pair, or None."""
    row = await pool.fetchrow(ORDER, order_id, timeout=TIMEOUT_SECONDS)
    return None if row is None else dict(row)


async def wallet(
    pool: asyncpg.Pool, wallet_id: str, start: datetime | None, end: datetime | None, limit: int
) -> list[dict[str, Any]]:
    """A wallet's entries in ``[start, end)``, newest first, at most ``limit``."""
    return [_nested(row) for row in await pool.fetch(WALLET, wallet_id, start, end, limit, timeout=TIMEOUT_SECONDS)]
