"""The replay job: a dead letter ends as a fresh record would, once, or stays where it is with its reason of today."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.streamapp_live.worker import until
from tests.support import jobs
from tests.support.jobs import Finished
from tests.support.postgres import Database

Owner = psycopg.Connection[TupleRow]
HUBS = {"HUB_LEDGER": "ledger", "HUB_ORDER": "orders"}
ENTRY = {"wallet_id": "w", "type": "PAYMENT", "amount": "5.00", "event_time": "2026-01-01T00:00:00Z", "version": 3}
ORDER = {"amount": "5.00", "status": "PAID", "created_at": "2026-01-01T00:00:00Z"}
AT = datetime(2026, 3, 1, tzinfo=UTC)


def entry(tx_id: str, **changes: Any) -> bytes:
    return json.dumps({"tx_id": tx_id, **ENTRY, **changes}).encode()


def order(order_id: str) -> bytes:
    return json.dumps({"order_id": order_id, **ORDER}).encode()


def letter(owner: Owner, topic: str, payload: bytes | None, error_class: str = "bad_amount", at: datetime = AT) -> int:
    """A dead letter of an earlier contract; its id."""
    row = owner.execute(
        'INSERT INTO bo.consumer_dlq_events (topic, partition, "offset", key, payload, error_class, error_detail, '
        "created_at) SELECT %s, 1, count(*), 'k', %s, %s, 'why', %s FROM bo.consumer_dlq_events RETURNING id",
        (topic, payload, error_class, at),
    ).fetchone()
    assert row is not None
    return int(row[0])


def environment(database: Database) -> dict[str, str]:
    return {**database.environment("bo_consumer"), **HUBS}


def replay(database: Database, **spec: Any) -> Finished:
    return jobs.run("replay", environment(database), "REPLAY_SPEC", spec)


def figures(done: Finished) -> dict[str, int]:
    assert done.code == 0, done.log
    return {key: value for key, value in done.last.items() if key != "event"}


def unresolved(owner: Owner) -> list[Any]:
    query = "SELECT id, error_class FROM bo.consumer_dlq_events WHERE resolved_at IS NULL ORDER BY id"
    return owner.execute(query).fetchall()


def test_each_goes_where_it_belongs_or_stays(database: Database, owner: Owner) -> None:
    letter(owner, "ledger", entry("a"))
    letter(owner, "orders", order("o"))
    letter(owner, "file:x.csv", entry("b"))
    letter(owner, "file:y.csv", order("p"))
    broken = [letter(owner, "ledger", b"{"), letter(owner, "orders", None), letter(owner, "ledger", order("q")),
              letter(owner, "file:x.csv", b"[1]")]  # fmt: skip
    found = figures(replay(database))
    assert found == {"replayed": 8, "applied": 4, "duplicate": 0, "stale": 0, "still_broken": 4}
    rows = owner.execute("SELECT tx_id, src, src_partition, src_offset FROM bo.ledger_entries ORDER BY 1").fetchall()
    assert rows == [("a", "stream", 1, 0), ("b", "backfill", 1, 2)]
    rows = owner.execute("SELECT order_id, src FROM bo.payment_orders ORDER BY 1").fetchall()
    assert rows == [("o", "stream"), ("p", "backfill")]
    reasons = list(zip(broken, ["not_json", "empty", "missing_field", "wrong_type"], strict=True))
    assert unresolved(owner) == reasons
    # Again: nothing is lost, and nothing is there twice.
    assert figures(replay(database)) == {**found, "replayed": 4, "applied": 0}
    assert unresolved(owner) == reasons
    assert owner.execute("SELECT count(*) FROM bo.consumer_dlq_events").fetchall() == [(8,)]
    assert owner.execute("SELECT count(*) FROM bo.stream_progress").fetchall() == [(0,)]


def test_the_total_order_decides_as_ever(database: Database, owner: Owner) -> None:
    letter(owner, "ledger", entry("a", version=2, amount="9"))
    assert figures(replay(database))["applied"] == 1
    letter(owner, "ledger", entry("a", version=1))
    letter(owner, "ledger", entry("a", version=2, amount="9"))
    letter(owner, "ledger", entry("a", version=3))
    assert figures(replay(database)) == {
        "replayed": 3, "applied": 1, "duplicate": 0, "stale": 2, "still_broken": 0,
    }  # fmt: skip
    assert owner.execute("SELECT version FROM bo.ledger_entries").fetchall() == [(3,)]
    assert unresolved(owner) == []


def test_what_the_database_alone_refuses_stays_and_the_rest_goes(database: Database, owner: Owner) -> None:
    owner.execute("ALTER TABLE bo.ledger_entries ADD CONSTRAINT odd CHECK (tx_id NOT LIKE 'odd%')")
    try:
        refused = [letter(owner, "ledger", entry(f"odd{n}" if n % 3 == 0 else f"t{n}")) for n in range(9)][::3]
        assert figures(replay(database)) == {
            "replayed": 9, "applied": 6, "duplicate": 0, "stale": 0, "still_broken": 3,
        }  # fmt: skip
    finally:
        owner.execute("ALTER TABLE bo.ledger_entries DROP CONSTRAINT odd")
    assert unresolved(owner) == [(id_, "store_refused") for id_ in refused]
    assert figures(replay(database))["applied"] == 3


@pytest.mark.parametrize(("spec", "chosen"), [
    ({}, "abcd"), ({"topic": "orders"}, "c"), ({"error_class": "bad_time"}, "bc"),
    ({"since": AT.isoformat()}, "abc"), ({"until": AT.isoformat()}, "d"),
    ({"topic": "ledger", "error_class": "bad_time"}, "b"), ({"topic": "none"}, ""),
])  # fmt: skip
def test_filters(database: Database, owner: Owner, spec: dict[str, Any], chosen: str) -> None:
    letter(owner, "ledger", entry("a"))
    letter(owner, "ledger", entry("b"), "bad_time")
    letter(owner, "orders", order("c"), "bad_time")
    letter(owner, "ledger", entry("d"), at=AT - timedelta(microseconds=1))
    assert figures(replay(database, **spec))["applied"] == len(chosen)
    query = "SELECT tx_id FROM bo.ledger_entries UNION SELECT order_id FROM bo.payment_orders ORDER BY 1"
    assert "".join(row[0] for row in owner.execute(query)) == chosen


def test_by_id_more_than_a_batch_and_never_what_is_resolved(database: Database, owner: Owner) -> None:
    ids = [letter(owner, "ledger", entry(f"t{number}")) for number in range(700)]
    owner.execute("UPDATE bo.consumer_dlq_events SET resolved_at = now() WHERE id = %s", (ids[5],))
    assert figures(replay(database, ids=ids[:600]))["applied"] == 599
    assert [row[0] for row in unresolved(owner)] == ids[600:]


def test_a_kill_leaves_each_letter_whole(database: Database, owner: Owner) -> None:
    letter(owner, "ledger", entry("a"))
    with psycopg.connect(database.conninfo("bo_migrator")) as blocker:
        blocker.execute("LOCK bo.ledger_entries IN EXCLUSIVE MODE")
        job = jobs.start("replay", environment(database), "REPLAY_SPEC", {})
        waits = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'txplan-replay' AND wait_event_type = 'Lock'"
        with psycopg.connect(database.conninfo(), autocommit=True) as seen:
            until(lambda: seen.execute(waits).fetchone())
        job.kill()
        job.communicate()
    assert len(unresolved(owner)) == 1
    assert figures(replay(database))["applied"] == 1
    assert unresolved(owner) == []


def test_a_spec_that_is_none(database: Database) -> None:
    for spec in ({"since": "yesterday"}, {"until": "2026-01-01T00:00:00"}, {"everything": True}, {"ids": ["all"]}):
        assert replay(database, **spec).last["code"] == "bad-spec"
