"""The store: the greater row stays whatever the order of arrival, and the books say what became of each record."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import TupleRow

from streamapp import store, synthetic
from streamapp.contract import ContractViolation, LedgerEntry, PaymentOrder, decode_ledger, decode_order
from streamapp.store import Counts, Envelope, Progress, Watermark
from tests.support import payloads
from tests.support.digest import Digest, table_digest
from tests.support.postgres import Database

AT = datetime(2026, 1, 1, tzinfo=UTC)
Owner = psycopg.Connection[TupleRow]
L, ORDER = "ledger", "orders"


def entry(tx_id: str = "t1", version: int = 0, at: datetime = AT, **changes: Any) -> LedgerEntry:
    base = LedgerEntry(
        tx_id, "w", "PAYMENT", Decimal("1.50"), Decimal("-1.50"), "o1", "PAYMENT_ORDER", at, at, at, version
    )
    return base._replace(**changes)


def enveloped(bodies: Iterable[LedgerEntry | PaymentOrder | ContractViolation]) -> list[Envelope]:
    """Ledger rows and what is broken to the one topic, orders to the other, two partitions each."""
    return [
        Envelope(ORDER if isinstance(body, PaymentOrder) else L, i % 2, i, b"k", b"p", body)
        for i, body in enumerate(bodies)
    ]


async def connected(database: Database) -> store.Connection:
    conn = await psycopg.AsyncConnection.connect(database.conninfo("bo_consumer"))
    await store.prepare(conn)
    return conn


async def write(
    database: Database, batches: Iterable[Sequence[Envelope]], progress: Progress | None = None
) -> list[dict[tuple[str, int], Counts]]:
    async with await connected(database) as conn:
        return [await store.apply_batch(conn, batch, progress or Progress("g")) for batch in batches]


def apply(database: Database, *batches: Sequence[Envelope]) -> Counts:
    """The books of all batches and partitions together."""
    total = Counts()
    for books in asyncio.run(write(database, batches)):
        for counts in books.values():
            for name, value in vars(counts).items():
                setattr(total, name, getattr(total, name) + value)
    return total


def one(body: LedgerEntry | PaymentOrder | ContractViolation, offset: int = 0) -> list[Envelope]:
    return [Envelope(ORDER if isinstance(body, PaymentOrder) else L, 0, offset, b"k", b"p", body)]


def stored(owner: Owner) -> tuple[Any, ...]:
    row = owner.execute("SELECT version, amount, src_partition, src_offset, src FROM bo.ledger_entries").fetchone()
    assert row is not None
    return row


def test_a_new_row_and_its_redelivery(database: Database, owner: Owner) -> None:
    batch = enveloped([entry()])
    assert apply(database, batch) == Counts(consumed=1, applied=1)
    assert apply(database, batch) == Counts(consumed=1, duplicate=1)
    assert stored(owner) == (0, Decimal("1.50"), 0, 0, "stream")


@pytest.mark.parametrize(
    ("older", "newer", "conflict"),
    [
        (entry(version=1), entry(version=2, at=AT - timedelta(days=1)), 0),
        (entry(updated_at=AT), entry(updated_at=AT + timedelta(microseconds=1)), 0),
        (entry(updated_at=None, event_time=AT), entry(updated_at=AT + timedelta(seconds=1)), 0),
        (entry(version=1), entry(version=1, at=AT + timedelta(seconds=1)), 1),
    ],
)
def test_the_greater_row_stays(
    database: Database, owner: Owner, older: LedgerEntry, newer: LedgerEntry, conflict: int
) -> None:
    assert apply(database, one(older, 1), one(newer, 2)) == Counts(2, 2, conflict=conflict)
    assert apply(database, one(older, 3)) == Counts(1, stale=1, conflict=conflict)
    assert stored(owner)[3] == 2
    owner.execute("TRUNCATE bo.ledger_entries")
    assert apply(database, one(newer, 2), one(older, 1)) == Counts(2, 1, stale=1, conflict=conflict)
    assert stored(owner)[3] == 2
    owner.execute("TRUNCATE bo.ledger_entries")
    assert apply(database, one(newer, 2) + one(older, 1)) == Counts(2, 1, stale=1, conflict=conflict)
    assert stored(owner)[3] == 2


def test_at_an_equal_version_and_time_the_hash_decides(database: Database, owner: Owner) -> None:
    rivals = [entry(amount=Decimal(n)) for n in range(1, 6)]
    winners = set()
    for _ in range(4):
        random.shuffle(rivals)
        owner.execute("TRUNCATE bo.ledger_entries")
        books = apply(database, *(one(rival, i) for i, rival in enumerate(rivals)))
        assert books.applied + books.stale == 5
        assert books.conflict == 4
        winners.add(stored(owner)[1])
    assert len(winners) == 1


def test_null_and_empty_are_two_things(database: Database) -> None:
    books = apply(database, one(entry(related_type=None), 1), one(entry(related_type=""), 2))
    assert books.duplicate == 0


def test_the_hash_does_not_depend_on_the_session(database: Database, owner: Owner) -> None:
    apply(database, enveloped([entry()]))
    digests = set()
    for zone in ("UTC", "Asia/Seoul", "America/St_Johns"):
        owner.execute("SELECT set_config('TimeZone', %s, false)", (zone,))
        digests.add(table_digest(owner)["bo.ledger_entries"])
    assert len(digests) == 1


def test_broken_records_are_kept_once_with_their_bytes(database: Database, owner: Owner) -> None:
    bad = Envelope(L, 1, 7, None, b"\x00\xff{", ContractViolation("not_json", "why"))
    assert apply(database, [bad], [bad]) == Counts(consumed=2, dlq=2)
    rows = owner.execute(
        'SELECT topic, partition, "offset", key, payload, error_class, error_detail, resolved_at '
        "FROM bo.consumer_dlq_events"
    ).fetchall()
    assert rows == [(L, 1, 7, None, b"\x00\xff{", "not_json", "why", None)]


def test_a_dead_letter_gives_way_to_another_record_at_its_place_only(database: Database, owner: Owner) -> None:
    row = (
        "SELECT payload, error_class, resolved_at IS NULL, created_at > now() - interval '1 hour' "
        "FROM bo.consumer_dlq_events"
    )
    first = Envelope(L, 0, 7, b"k", b"first", ContractViolation("not_json", "why"))
    apply(database, [first, first])
    owner.execute("UPDATE bo.consumer_dlq_events SET resolved_at = now(), created_at = now() - interval '1 day'")
    apply(database, [first])
    assert owner.execute(row).fetchall() == [(b"first", "not_json", False, False)]
    apply(database, [first._replace(payload=b"other", body=ContractViolation("bad_amount", "why"))])
    assert owner.execute(row).fetchall() == [(b"other", "bad_amount", True, True)]


def test_a_batch_is_all_or_nothing(database: Database, owner: Owner) -> None:
    # PostgreSQL refuses the NUL that the contract would have caught: the whole batch goes.
    batch = enveloped([entry("t1"), ContractViolation("x", "x"), entry("t2", related_type="\0")])
    with pytest.raises((psycopg.Error, ValueError)):
        apply(database, batch)
    counted = owner.execute(
        "SELECT (SELECT count(*) FROM bo.ledger_entries), (SELECT count(*) FROM bo.consumer_dlq_events)"
    ).fetchone()
    assert counted == (0, 0)


def test_a_connection_goes_on_after_a_failed_batch(database: Database) -> None:
    async def both() -> Counts:
        async with await connected(database) as conn:
            with pytest.raises((psycopg.Error, ValueError)):
                await store.apply_batch(conn, one(entry(related_type="\0")), Progress("g"))
            return (await store.apply_batch(conn, one(entry()), Progress("g")))[L, 0]

    assert asyncio.run(both()) == Counts(consumed=1, applied=1)


def test_progress_is_booked_with_its_batch(database: Database, owner: Owner) -> None:
    marks = {(L, 0): Watermark(5, 9, AT), (L, 1): Watermark(3, 3), (ORDER, 0): Watermark(0, 0)}
    batch = enveloped([entry("a"), entry("b"), entry("a"), ContractViolation("x", "x")])
    asyncio.run(write(database, [batch, batch], Progress("g", marks)))
    rows = owner.execute(
        "SELECT topic, partition, applied_offset, end_offset, caught_up_at = %s, consumed, applied, duplicate, "
        "stale, conflict, dlq FROM bo.stream_progress WHERE consumer_group = 'g' ORDER BY 1, 2",
        (AT,),
    ).fetchall()
    assert rows == [
        (L, 0, 5, 9, True, 4, 1, 3, 0, 0, 0),
        (L, 1, 3, 3, False, 4, 1, 1, 0, 0, 2),
        (ORDER, 0, 0, 0, False, 0, 0, 0, 0, 0, 0),
    ]


def test_what_was_passed_over_is_booked_and_what_came_again_is_not(database: Database, owner: Owner) -> None:
    def rows(first: int, last: int) -> list[Envelope]:
        return [envelope._replace(offset=first + n) for n, envelope in
                enumerate(enveloped([entry(f"tx-{number}") for number in range(first, last)]))]  # fmt: skip

    async def batches() -> None:
        async with await connected(database) as conn:
            await store.heartbeat(conn, Progress("g", {(L, 0): Watermark(100, 100)}))
            # Once, once again in a larger batch after a kill, then past two offsets that nobody brought.
            for first, last in ((100, 105), (100, 110), (103, 106), (112, 115)):
                await store.apply_batch(conn, [e._replace(partition=0) for e in rows(first, last)],
                                        Progress("g", {(L, 0): Watermark(last, 200)}))  # fmt: skip

    asyncio.run(batches())
    found = owner.execute("SELECT began_at, applied_offset, consumed, passed_over FROM bo.stream_progress").fetchall()
    assert found == [(100, 115, 21, 2)]


def test_a_heartbeat_moves_the_watermark_and_never_takes_back_what_is_applied(database: Database, owner: Owner) -> None:
    async def beats() -> None:
        async with await connected(database) as conn:
            for applied in (10, 4):
                await store.heartbeat(conn, Progress("g", {(L, 0): Watermark(applied, 12)}))

    asyncio.run(beats())
    rows = owner.execute(
        "SELECT applied_offset, end_offset, consumed, now() - caught_up_at < '1 min' FROM bo.stream_progress"
    ).fetchall()
    assert rows == [(10, 12, 0, True)]


def test_a_watermark_of_the_future_is_booked_as_now(database: Database, owner: Owner) -> None:
    ahead = datetime.now(UTC) + timedelta(days=365)
    asyncio.run(write(database, [enveloped([entry()])], Progress("g", {(L, 0): Watermark(1, 9, ahead)})))
    assert owner.execute("SELECT caught_up_at <= clock_timestamp() FROM bo.stream_progress").fetchall() == [(True,)]


def test_what_a_restarted_consumer_does_not_know_yet_stays_as_it_was_booked(database: Database, owner: Owner) -> None:
    async def beats() -> None:
        async with await connected(database) as conn:
            await store.heartbeat(conn, Progress("g", {(L, 0): Watermark(5, 9, AT)}))
            await store.heartbeat(conn, Progress("g", {(L, 0): Watermark(5, None), (L, 1): Watermark(3, None)}))
            first = await (await conn.execute(rows)).fetchall()
            await store.heartbeat(conn, Progress("g", {(L, 0): Watermark(5, None), (L, 1): Watermark(3, None)}))
            assert await (await conn.execute(rows)).fetchall() == first
            await store.heartbeat(conn, Progress("g", {(L, 1): Watermark(3, 8, AT)}))

    rows = b"SELECT partition, applied_offset, end_offset, caught_up_at FROM bo.stream_progress ORDER BY 1"
    asyncio.run(beats())
    assert owner.execute(rows).fetchall() == [(0, 5, 9, AT), (1, 3, 8, AT)]


def payments(seed: int, count: int) -> list[LedgerEntry | PaymentOrder]:
    """Rows with older versions, repeats and rivals at the same version among them."""
    rng = random.Random(seed)
    rows: list[LedgerEntry | PaymentOrder] = []
    for number in range(count):
        for record in synthetic.payment_of(number, rng):
            rows.append(record)
            if rng.random() < 0.5:
                rows.append(record._replace(version=rng.randrange(3)))
            if rng.random() < 0.5:
                rows.append(record._replace(amount=record.amount + 1))
            if rng.random() < 0.3:
                rows.append(record)
    return rows


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 99), data=st.data())
def test_any_order_and_any_redelivery_end_in_the_same_tables(
    database: Database, owner: Owner, seed: int, data: st.DataObject
) -> None:
    batch = enveloped(payments(seed, 8))
    expected = digest_after(database, owner, [batch])
    shuffled = data.draw(st.permutations(batch + data.draw(st.lists(st.sampled_from(batch), max_size=10))))
    size = data.draw(st.integers(1, len(shuffled)))
    batches = [shuffled[i : i + size] for i in range(0, len(shuffled), size)]
    assert digest_after(database, owner, batches) == expected


def digest_after(database: Database, owner: Owner, batches: list[list[Envelope]]) -> Digest:
    owner.execute("TRUNCATE bo.ledger_entries, bo.payment_orders, bo.consumer_dlq_events")
    books = apply(database, *batches)
    assert books.consumed == sum(map(len, batches))
    assert books.consumed == books.applied + books.duplicate + books.stale + books.dlq
    return table_digest(owner)


def test_two_writers_at_once_end_in_the_same_tables_with_right_books(database: Database, owner: Owner) -> None:
    batch = enveloped(payments(1, 60))
    expected = digest_after(database, owner, [batch])
    owner.execute("TRUNCATE bo.ledger_entries, bo.payment_orders")

    async def race() -> list[list[dict[tuple[str, int], Counts]]]:
        rng = random.Random(2)
        sides = [[rng.sample(batch, 40) for _ in range(30)] + [batch] for _ in range(3)]
        return list(await asyncio.gather(*(write(database, side) for side in sides)))

    applied = 0
    for side in asyncio.run(race()):
        for books in side:
            for counts in books.values():
                assert counts.consumed == counts.applied + counts.duplicate + counts.stale + counts.dlq
                assert min(vars(counts).values()) >= 0
                applied += counts.applied
    assert table_digest(owner) == expected
    rows = sum(rows for rows, _ in expected.values())
    assert applied >= rows


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raws=st.lists(payloads.HOSTILE, min_size=1, max_size=40))
def test_every_payload_ends_in_a_table_or_in_the_dead_letters(
    database: Database, owner: Owner, raws: list[bytes]
) -> None:
    """The store refuses nothing that the contract passes, and what the contract refuses is kept as it came."""
    owner.execute("TRUNCATE bo.ledger_entries, bo.payment_orders, bo.consumer_dlq_events")
    envelopes = []
    for offset, raw in enumerate(raws):
        for topic, decode in ((L, decode_ledger), (ORDER, decode_order)):
            body: LedgerEntry | PaymentOrder | ContractViolation
            try:
                body = decode(raw)
            except ContractViolation as violation:
                body = violation
            envelopes.append(Envelope(topic, 0, offset, raw, raw, body))
    books = apply(database, envelopes)
    kept = owner.execute('SELECT topic, "offset", key, payload FROM bo.consumer_dlq_events').fetchall()
    refused = {(e.topic, e.offset, e.key, e.payload) for e in envelopes if isinstance(e.body, ContractViolation)}
    assert set(kept) == refused
    assert (books.dlq, books.applied + books.duplicate + books.stale) == (len(refused), len(envelopes) - len(refused))


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=256)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tx_id=text, wallet=text, related=text, kind=text)
def test_what_the_contract_passes_the_store_can_hold(
    database: Database, owner: Owner, tx_id: str, wallet: str, related: str, kind: str
) -> None:
    owner.execute("TRUNCATE bo.ledger_entries")
    record = entry(tx_id, 2**63 - 1, wallet_id=wallet, related_id=related, entry_type=kind)
    widest = entry("x", wallet_id="\U0001f4b3" * 256, amount=Decimal("-9999999999999999.99"))
    first = decode_ledger(b'{"tx_id":"y","wallet_id":"w","type":"T","amount":"0","event_time":"0001-01-01T00:00:00Z"}')
    assert apply(database, enveloped([record, widest, first])).applied == len({tx_id, "x", "y"})
    row = owner.execute("SELECT wallet_id, related_id, entry_type FROM bo.ledger_entries WHERE tx_id = %s", (tx_id,))
    if tx_id not in ("x", "y"):
        assert row.fetchone() == (wallet, related, kind)
