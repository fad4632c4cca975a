"""The consumer on a real broker and a real database: applies, books, commits, drains, hands over."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.streamapp_live.stage import Stage, entries, entry, message, order
from tests.streamapp_live.worker import until


def balanced(books: dict[str, int]) -> bool:
    return books["consumed"] == books["applied"] + books["duplicate"] + books["stale"] + books["dlq"]


def test_applies_books_and_commits(stage: Stage) -> None:
    stage.broker.produce(stage.ledger, entries(0, 3000))
    stage.broker.produce(stage.order, (message(order(number)) for number in range(1500)))
    consumer = stage.consumer()
    stage.settled(3000)
    until(lambda: stage.one("SELECT count(*) FROM bo.payment_orders") == 1500)
    books = stage.books()
    assert books == {"consumed": 4500, "applied": 4500, "duplicate": 0, "stale": 0, "dlq": 0, "conflict": 0}
    assert stage.one("SELECT count(*) FROM bo.payment_ledger_pairs WHERE pairing_status = 'COMPLETE'") == 1500
    assert consumer.json("/readyz") == {"ready": True, "reasons": [], "partitions": 4}
    until(lambda: list(consumer.samples("bo_stream_lag_records").values()) == [0.0] * 4)
    assert consumer.samples("bo_stream_ready") == {"": 1.0}
    assert sum(v for k, v in consumer.samples("bo_stream_records_total").items() if "applied" in k) == 4500


def test_the_watermark_is_now_while_caught_up_and_old_when_dead(stage: Stage) -> None:
    lag = "SELECT extract(epoch FROM now() - min(caught_up_at))::float8 FROM bo.stream_progress"
    stage.broker.produce(stage.ledger, entries(0, 10))
    consumer = stage.consumer()
    stage.settled(10)
    first = stage.one("SELECT min(caught_up_at) FROM bo.stream_progress")
    until(lambda: stage.one("SELECT min(caught_up_at) FROM bo.stream_progress") > first)
    assert stage.one("SELECT count(*) FROM bo.stream_progress") == 4
    consumer.kill()
    before = stage.one(lag)
    time.sleep(0.2)
    assert stage.one(lag) > before


def test_redelivery_and_shuffled_versions_end_in_the_same_table(stage: Stage) -> None:
    newer = [message(entry(number, version=2)) for number in range(0, 500, 5)]
    older = list(entries(0, 500))
    stage.broker.produce(stage.ledger, [*newer, *older, *reversed(older), *newer])
    stage.consumer()
    until(lambda: stage.books()["consumed"] == 1200)
    books = stage.books()
    assert balanced(books) and books["applied"] >= 500 and books["dlq"] == 0
    assert stage.count() == 500
    assert stage.one("SELECT count(*) FROM bo.ledger_entries WHERE version = 2") == 100


def test_broken_events_go_to_the_dead_letters_and_the_stream_lives(stage: Stage) -> None:
    broken = [("a", b"{"), ("b", b"\xff\xfe"), ("c", b'{"tx_id": "c"}'), ("d", b"")]
    stage.broker.produce(stage.ledger, [message(entry(1)), *broken, message(entry(2))])
    consumer = stage.consumer()
    stage.settled(2)
    until(lambda: stage.books()["consumed"] == 6)
    assert stage.books()["dlq"] == 4
    kept = stage.rows('SELECT key, payload, error_class FROM bo.consumer_dlq_events ORDER BY partition, "offset"')
    assert {bytes(row[1] or b"") for row in kept} == {value for _, value in broken}
    assert stage.committed() == {k: v for k, v in stage.applied_offsets().items() if v}
    assert consumer.get("/readyz")[0] == 200


def test_a_row_that_the_database_refuses_is_put_aside_alone(stage: Stage) -> None:
    stage.run("ALTER TABLE bo.ledger_entries ADD CONSTRAINT odd CHECK (tx_id <> 'tx-777')")
    stage.broker.produce(stage.ledger, entries(700, 900))
    stage.consumer()
    stage.settled(199)
    until(lambda: stage.books()["consumed"] == 200)
    assert stage.books()["dlq"] == 1
    error_class, detail, key = stage.rows("SELECT error_class, error_detail, key FROM bo.consumer_dlq_events")[0]
    assert (error_class, bytes(key)) == ("store_refused", b"tx-777")
    assert "wallet" not in detail


def test_starts_at_the_committed_offsets_of_its_group(stage: Stage) -> None:
    stage.broker.produce(stage.ledger, entries(0, 100))
    client = Consumer({"bootstrap.servers": stage.broker.bootstrap, "group.id": stage.group, "log_level": 0})
    ends = {number: client.get_watermark_offsets(TopicPartition(stage.ledger, number))[1] for number in (0, 1)}
    start = [TopicPartition(stage.ledger, number, end) for number, end in ends.items()]
    start += [TopicPartition(stage.order, number, 0) for number in (0, 1)]
    client.commit(offsets=start, asynchronous=False)
    client.close()
    stage.broker.produce(stage.ledger, entries(1000, 1010))
    stage.consumer()
    until(lambda: stage.books()["consumed"] >= 10)
    assert stage.books()["consumed"] == 10
    assert stage.one("SELECT min(tx_id) FROM bo.ledger_entries") == "tx-1000"


def test_sigterm_finishes_the_batch_commits_and_leaves_the_group(stage: Stage) -> None:
    stage.broker.produce(stage.ledger, entries(0, 60_000))
    consumer = stage.consumer(BATCH_MAX_RECORDS="1000")
    until(lambda: stage.count() > 2000)
    assert consumer.terminate() == 0
    reached = stage.count()
    assert stage.committed() == {k: v for k, v in stage.applied_offsets().items() if v}
    assert sum(stage.committed().values()) == stage.books()["consumed"] == reached
    # It left: a new member gets all partitions at once, not after the session of the old one.
    begun = time.monotonic()
    again = stage.consumer(BATCH_MAX_RECORDS="1000")
    assert again.json("/readyz")["partitions"] == 4
    assert time.monotonic() - begun < 20, "the group still waited for a member that left"
    stage.settled(60_000)
    assert stage.books()["applied"] == stage.books()["consumed"] == 60_000


def test_two_members_share_and_take_over(stage: Stage) -> None:
    first = stage.consumer(BATCH_MAX_RECORDS="500")
    stage.broker.produce(stage.ledger, entries(0, 20_000))
    second = stage.consumer(BATCH_MAX_RECORDS="500")
    until(lambda: (first.json("/readyz")["partitions"], second.json("/readyz")["partitions"]) == (2, 2))
    stage.broker.produce(stage.ledger, entries(20_000, 60_000))
    assert first.terminate() == 0
    until(lambda: second.json("/readyz")["partitions"] == 4, 90)
    stage.settled(60_000, 90)
    books = stage.books()
    assert balanced(books) and books["applied"] == 60_000 and books["dlq"] == 0
    assert stage.passed_over() == 0


def test_refuses_to_go_on_where_the_log_has_lost_records(stage: Stage) -> None:
    if stage.broker.engine == "noida":
        pytest.skip("noida does not delete records on request")
    stage.broker.produce(stage.ledger, entries(0, 1000))
    stage.consumer().terminate()
    until(lambda: sum(stage.committed().values()) == 1000)
    stage.broker.produce(stage.ledger, entries(1000, 2000))
    admin = AdminClient({"bootstrap.servers": stage.broker.bootstrap})
    ends = [TopicPartition(stage.ledger, number, 950) for number in (0, 1)]
    for future in admin.delete_records(ends).values():
        future.result(20)
    consumer = stage.consumer(ready=False)
    assert consumer.process.wait(60) not in (0, None)
    assert "RecordsLost" in consumer.log.read_text()
    assert stage.count() == 1000
