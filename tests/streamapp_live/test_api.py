"""The API on a real database: look-ups, refusals, audit, lag, metrics, and what it does without the database."""

from __future__ import annotations

import urllib.parse
from decimal import Decimal
from typing import Any

import pytest

from tests.streamapp_live.stage import TOKEN, Stage, entry, message, order
from tests.streamapp_live.worker import Process, until

# The broker only brings the rows here; which engine it is makes no difference.
pytestmark = pytest.mark.parametrize("broker", ["noida"], indirect=True)
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def seed(stage: Stage, *records: Any) -> None:
    """Through the consumer, so that what is looked up is what the stream made."""
    for record in records:
        stage.broker.produce(stage.order if len(record) == 8 else stage.ledger, [message(record)])
    consumer = stage.consumer()
    until(lambda: stage.books()["consumed"] == len(records))
    consumer.terminate()


def get(api: Process, path: str) -> tuple[int, Any]:
    return api.get(path, **BEARER)[0], api.json(path, **BEARER)


def test_look_ups(stage: Stage) -> None:
    refund = {"related_id": "order-0", "amount": Decimal(1)}
    seed(
        stage,
        *(entry(number) for number in range(4)),
        entry(6),
        entry(8, amount=Decimal(99)), entry(9),
        entry(10, related_id=None, related_type=None),
        entry(100, entry_type="REFUND_OUT", **refund), entry(101, entry_type="REFUND_IN", **refund),
        order(0), order(3, status="weird"),
    )  # fmt: skip
    api = stage.api()
    status, found = get(api, "/admin/tx/tx-0")
    lag = found.pop("data_lag_sec")
    assert status == 200 and lag >= 0
    assert found == {
        "tx_id": "tx-0", "event_time": "2026-01-01T00:00:00Z", "entry_type": "PAYMENT", "amount": "1.00",
        "amount_signed": "-1.00", "status": "SETTLED", "status_group": "SUCCESS", "sender_wallet_id": "wallet-0",
        "receiver_wallet_id": "wallet-1", "paired_tx_id": "tx-1", "merchant_name": "a merchant",
        "pairing_status": "COMPLETE", "related": {"related_id": "order-0", "related_type": "PAYMENT_ORDER"},
    }  # fmt: skip
    pairs = {f"tx-{n}": get(api, f"/admin/tx/tx-{n}")[1]["pairing_status"] for n in (2, 6, 8, 10, 100)}
    assert pairs == {
        "tx-2": "COMPLETE", "tx-6": "INCOMPLETE", "tx-8": "MISMATCH", "tx-10": "UNKNOWN", "tx-100": "COMPLETE"
    }  # fmt: skip
    lonely = get(api, "/admin/tx/tx-6")[1]
    assert (lonely["paired_tx_id"], lonely["receiver_wallet_id"], lonely["status_group"]) == (None, None, "UNKNOWN")
    assert get(api, "/admin/tx/tx-101")[1]["paired_tx_id"] == "tx-100"
    status, found = get(api, "/admin/payment-orders/order-0")
    assert (status, found["pairing_status"], found["sender_tx_id"]) == (200, "COMPLETE", "tx-0")
    status, found = get(api, "/admin/wallets/wallet-1/tx")
    assert (status, [item["tx_id"] for item in found["items"]]) == (200, ["tx-8", "tx-1"])
    assert get(api, "/admin/wallets/nobody/tx")[1]["items"] == []


def test_ranges_of_a_wallet_are_half_open(stage: Stage) -> None:
    seed(stage, *(entry(number, wallet_id="w") for number in range(30)))
    api = stage.api()
    assert len(get(api, "/admin/wallets/w/tx")[1]["items"]) == 20
    window = "from=2026-01-01T00:00:05Z&to=2026-01-01T09:00:10%2B09:00"
    found = get(api, f"/admin/wallets/w/tx?{window}")[1]["items"]
    assert [item["tx_id"] for item in found] == ["tx-9", "tx-8", "tx-7", "tx-6", "tx-5"]
    assert len(get(api, "/admin/wallets/w/tx?limit=3")[1]["items"]) == 3


REFUSED = {
    "/admin/tx/unknown": (404, "not-found"),
    "/admin/payment-orders/unknown": (404, "not-found"),
    "/admin/nothing/here": (404, "not-found"),
    "/admin/tx/" + "x" * 300: (400, "invalid-id"),
    "/admin/tx/a%00b": (400, "invalid-id"),
    "/admin/tx/%ff%fe": (404, "not-found"),
    "/admin/tx/" + urllib.parse.quote("'; DROP TABLE bo.ledger_entries; --"): (404, "not-found"),
    "/admin/wallets/w/tx?limit=0": (400, "invalid-limit"),
    "/admin/wallets/w/tx?limit=101": (400, "invalid-limit"),
    "/admin/wallets/w/tx?limit=%D9%A3": (400, "invalid-limit"),
    "/admin/wallets/w/tx?limit=1&limit=2": (400, "invalid-parameter"),
    "/admin/wallets/w/tx?from=yesterday": (400, "invalid-time"),
    "/admin/wallets/w/tx?to=infinity": (400, "invalid-time"),
    "/admin/wallets/w/tx?from=0001-01-01T00:00:00%2B14:00": (400, "invalid-time"),
    "/admin/wallets/w/tx?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z": (400, "invalid-range"),
}


def test_refusals_are_problems_and_every_call_is_audited(stage: Stage) -> None:
    api = stage.api()
    for path, (status, code) in REFUSED.items():
        answered, problem = get(api, path)
        assert (answered, problem["status"], problem["code"]) == (status, status, code), path
    expected = len(REFUSED) * 2  # `get` asks twice.
    until(lambda: stage.one("SELECT count(*) FROM bo.admin_audit_logs") == expected)
    assert stage.rows("SELECT DISTINCT actor FROM bo.admin_audit_logs") == [("kim",)]
    assert api.terminate() in (0, -15)


WRONG = (None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é")


@pytest.mark.parametrize("header", WRONG)
def test_no_credential_no_answer(stage: Stage, header: str | None) -> None:
    api = stage.api()
    headers = {} if header is None else {"Authorization": header}
    for path in ("/admin/tx/x", "/admin/none", "/admin/wallets/w/tx?limit=x"):
        assert api.get(path, **headers)[0] == 401
    until(lambda: stage.one("SELECT count(*) FROM bo.admin_audit_logs WHERE actor = '-' AND status = 401") == 3)


def test_audit_rows_are_flushed_at_the_end(stage: Stage) -> None:
    api = stage.api()
    for number in range(50):
        api.get(f"/admin/tx/{number}", **BEARER)
    api.terminate()
    assert stage.one("SELECT count(*) FROM bo.admin_audit_logs") == 50
    actor, action, target, count, status = stage.rows(
        "SELECT actor, action, target, result_count, status FROM bo.admin_audit_logs LIMIT 1"
    )[0]
    assert (actor, action, count, status) == ("kim", "GET /admin/tx/{tx_id}", 0, 404)
    assert target.startswith("/admin/tx/")


def test_the_lag_grows_while_no_consumer_writes(stage: Stage) -> None:
    api = stage.api()
    assert api.samples("bo_data_lag_seconds") == {}
    seed(stage, entry(0))
    first = until(lambda: api.samples("bo_data_lag_seconds").get(""))
    until(lambda: api.samples("bo_data_lag_seconds")[""] > first + 0.5)
    assert get(api, "/admin/tx/tx-0")[1]["data_lag_sec"] > first


def test_metrics_count_pairs_and_dead_letters(stage: Stage) -> None:
    seed(stage, entry(0), entry(1), entry(2), order(0), order(1), order(2, status="FAILED"))
    stage.run(
        'INSERT INTO bo.consumer_dlq_events (topic, partition, "offset", error_class, error_detail, created_at) '
        "VALUES ('file:x', 0, 1, 'a', 'b', now() - interval '1 day'), ('t', 0, 1, 'a', 'b', now())"
    )
    api = stage.api()
    assert api.samples("bo_pairs") == {
        '{status="COMPLETE"}': 1.0, '{status="INCOMPLETE"}': 1.0, '{status="MISMATCH"}': 0.0
    }  # fmt: skip
    assert api.samples("bo_dlq_rows") == {'{origin="backfill"}': 1.0, '{origin="stream"}': 1.0}
    assert api.samples("bo_dlq_recent_rows") == {'{origin="backfill"}': 0.0, '{origin="stream"}': 1.0}
    get(api, "/admin/tx/tx-0")
    assert sum(api.samples("bo_api_request_seconds_count").values()) >= 2
    assert api.samples("bo_build_info") == {'{revision="test"}': 1.0}
