"""Records that are broken, odd or huge, in a trickle and in a flood, and dead letters that cannot be written."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.faults.feeder import POISON
from tests.faults.road import Road, kill_all
from tests.streamapp_live.worker import until

FLOOD = 4_000
MEGABYTES = 10 << 20
_ENTRY = {"wallet_id": "w", "entry_type": "CHARGE", "amount": "1.00", "event_time": "2026-01-01T00:00:00Z",
          "version": 1}  # fmt: skip


def value(tx_id: str, **changes: Any) -> bytes:
    return json.dumps({"tx_id": tx_id, **_ENTRY, **changes}).encode()


def test_one_percent_is_poison(road: Road) -> None:
    with road.fault("1 % poison records"):
        road.feeder.poison_share = 0.04  # Of payments, which are four records and more.
        before = len(road.feeder.poison)
        until(lambda: len(road.feeder.poison) >= before + 5)
        road.feeder.poison_share = 0


def test_everything_is_poison(road: Road) -> None:
    with road.fault(f"a flood of {FLOOD:,} poison records, and nothing else"):
        road.feeder.pause()
        for number in range(FLOOD):
            road.feeder.broken(road.order if number % 4 else road.ledger, POISON[number % len(POISON)])
        road.feeder.resume()


#: What looks wrong and is right: the value, and how its row differs from that of the plain one.
RIGHT: dict[str, tuple[bytes, dict[str, Any]]] = {
    "year-9999": (value("year-9999", event_time="9999-12-31T23:59:59.999999Z"),
                  {"event_time": "9999-12-31T23:59:59.999999+00:00"}),
    "most-money": (value("most-money", amount="-9999999999999999.99"), {"amount": "-9999999999999999.99"}),
    "nul-in-what-is-ignored": (value("nul-in-what-is-ignored", other="\0"), {}),
    "the-last-of-two-keys": (value("the-first")[:-1] + b', "tx_id": "the-last-of-two-keys", "amount": "2"}',
                             {"amount": "2"}),
    "nan-in-what-is-ignored": (value("nan-in-what-is-ignored", other=[None, {"deep": "NaN"}]), {}),
    "10-megabytes": (value("10-megabytes", other="x" * MEGABYTES), {}),
}  # fmt: skip
BROKEN = (
    value("nul", wallet_id="a\0b"),
    value("utf-8").replace(b'"w"', b'"\xff\xfe"'),
    value("surrogate").replace(b'"w"', b'"\\ud800"'),
    value("nan").replace(b'"1.00"', b"NaN"),
    value("nan-text", amount="NaN"),
    value("40-digits", amount="1" * 40),
    value("40-digits-as-number").replace(b'"1.00"', b"1" * 40),
    value("year-9999-west", event_time="9999-12-31T23:59:59-01:00"),
    value("year-10000", event_time="10000-01-01T00:00:00Z"),
    value("key-twice")[:-1] + b', "amount": 1}',
    value("10-megabytes-of-wallet", wallet_id="x" * MEGABYTES),
    b"\0" * 100,
)


def test_odd_and_huge_records(road: Road) -> None:
    with road.fault("NUL, invalid UTF-8, NaN, 40 digits, year 9999, keys twice, 10 MB"):
        for key, (raw, changes) in RIGHT.items():
            road.feeder.counts(road.ledger, road.feeder.row(road.ledger, {"tx_id": key, **_ENTRY, **changes}))
            road.feeder.raw(road.ledger, key.encode(), raw)
        for raw in BROKEN:
            road.feeder.broken(road.ledger, raw)
    assert road.one("SELECT min(amount) FROM bo.ledger_entries") == Decimal("-9999999999999999.99")


@pytest.mark.full
def test_a_row_that_only_the_database_refuses(road: Road) -> None:
    member = road.members[0]
    road.run("ALTER TABLE bo.ledger_entries ADD CONSTRAINT odd CHECK (tx_id NOT LIKE 'refused-%')")
    with road.fault("10 rows that the database alone refuses"):
        for number in range(10):
            road.feeder.broken(road.ledger, value(f"refused-{number}"))
    with road.fault("rows that the database refuses, and then it dies"):
        with road.to_postgres.trap("rollback") as trap:
            for number in range(10, 15):
                road.feeder.broken(road.ledger, value(f"refused-{number}"))
            assert trap.sprung.wait(30)
            kill_all(road.server)
        until(lambda: member.get("/readyz")[0] == 503)
        road.server.start()
    assert member.process.poll() is None
    assert road.one("SELECT count(*) FROM bo.consumer_dlq_events WHERE error_class = 'store_refused'") == 15
    road.run("ALTER TABLE bo.ledger_entries DROP CONSTRAINT odd")


@pytest.mark.parametrize("blow", ["a right is missing", pytest.param("the table is missing", marks=pytest.mark.full)])
def test_dead_letters_that_cannot_be_written(road: Road, blow: str) -> None:
    """The consumer ends and says why, nothing of the batch is committed, and it goes on once that is mended."""
    breaking, mending = {
        "a right is missing": ("REVOKE INSERT ON bo.consumer_dlq_events FROM bo_consumer",
                               "GRANT INSERT ON bo.consumer_dlq_events TO bo_consumer"),
        "the table is missing": ("ALTER TABLE bo.consumer_dlq_events RENAME TO gone",
                                 "ALTER TABLE bo.gone RENAME TO consumer_dlq_events"),
    }[blow]  # fmt: skip
    member = road.members[0]
    with road.fault(f"dead letters cannot be written: {blow}"):
        road.run(breaking)
        before = len(road.feeder.poison)
        road.feeder.broken(road.ledger, POISON[0])
        assert member.process.wait(60) not in (0, None)
        assert "WriterFault" in member.log.read_text()
        until(lambda: len(road.feeder.poison) == before + 1)
        (topic, partition, offset), _ = list(road.feeder.poison.items())[-1]
        assert road.committed().get((topic, partition), 0) <= offset
        assert road.applied_offsets().get((topic, partition), 0) <= offset
        road.run(mending)
        road.again(member, ready=False)
