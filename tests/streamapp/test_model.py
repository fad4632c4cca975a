"""Store and pairing against a reference model, by a state machine: inserts, updates, rivals, redeliveries and broken
records, in any order, by two writers one after the other, at once, and with transactions that overlap or fail.

The model knows the total order and what a pair is; it knows nothing of SQL but the hash, which the schema defines.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from psycopg.rows import TupleRow

from streamapp import store
from streamapp.contract import ContractViolation, LedgerEntry, PaymentOrder
from streamapp.store import Counts, Envelope, Progress
from tests.support.postgres import Database

L, O = "ledger", "orders"  # noqa: E741
START = datetime(2026, 1, 1, tzinfo=UTC)
TIMES = st.sampled_from([START, START + timedelta(seconds=1), START + timedelta(days=1)])
AMOUNTS = st.sampled_from([Decimal("1.00"), Decimal("2.00")])
VERSIONS = st.integers(0, 2)
SIDES = {"PAYMENT": ("PAYMENT", 0), "RECEIVE": ("PAYMENT", 1), "REFUND_OUT": ("REFUND", 0), "REFUND_IN": ("REFUND", 1)}

ENTRIES = st.builds(
    LedgerEntry,
    tx_id=st.sampled_from(["t0", "t1", "t2", "t3"]),
    wallet_id=st.sampled_from(["w0", "w1"]),
    entry_type=st.sampled_from([*SIDES, "CHARGE"]),
    amount=AMOUNTS,
    amount_signed=st.none() | AMOUNTS,
    related_id=st.sampled_from(["o0", "o0", "o1", None]),
    related_type=st.sampled_from(["PAYMENT_ORDER", "PAYMENT_ORDER", "OTHER", None]),
    event_time=TIMES,
    created_at=st.none() | TIMES,
    updated_at=st.none() | TIMES,
    version=VERSIONS,
)
ORDERS = st.builds(
    PaymentOrder,
    order_id=st.sampled_from(["o0", "o1"]),
    user_id=st.sampled_from(["u0", None]),
    merchant_name=st.sampled_from(["m", None]),
    amount=AMOUNTS,
    status=st.sampled_from(["CREATED", "SETTLED", "settled"]),
    created_at=TIMES,
    updated_at=st.none() | TIMES,
    version=VERSIONS,
)


class Sent(NamedTuple):
    """A record in the log: what its delivery is, always the same, and its rank in the total order."""

    envelope: Envelope
    rank: tuple[int, datetime, int]

    @property
    def key(self) -> str:
        return str(self.envelope.body[0]) if isinstance(self.envelope.body, tuple) else ""


class Model:
    """The ten lines: the greatest of each key stays, what is broken stays once, and pairs are counted from rows."""

    def __init__(self) -> None:
        self.rows: dict[str, Sent] = {}
        self.broken: dict[tuple[str, int, int], bytes | None] = {}

    def apply(self, batch: Sequence[Sent]) -> None:
        for sent in batch:
            if not sent.key:
                self.broken[sent.envelope[:3]] = sent.envelope.payload
            elif sent.key not in self.rows or sent.rank > self.rows[sent.key].rank:
                self.rows[sent.key] = sent

    def bodies(self, kind: type) -> set[Any]:
        return {sent.envelope.body for sent in self.rows.values() if isinstance(sent.envelope.body, kind)}

    def pairs(self) -> dict[tuple[str, str], str]:
        orders = {order.order_id: order.amount for order in self.bodies(PaymentOrder)}
        sides: dict[tuple[str, str], tuple[list[Decimal], list[Decimal]]] = {}
        for row in self.bodies(LedgerEntry):
            if row.entry_type in SIDES and row.related_id is not None and row.related_type == "PAYMENT_ORDER":
                kind, side = SIDES[row.entry_type]
                sides.setdefault((row.related_id, kind), ([], []))[side].append(row.amount)
        return {place: _status(*found, orders.get(place[0])) for place, found in sides.items()}


def _status(senders: list[Decimal], receivers: list[Decimal], order: Decimal | None) -> str:
    if max(len(senders), len(receivers)) > 1:
        return "MISMATCH"
    if not senders or not receivers:
        return "INCOMPLETE"
    return "COMPLETE" if senders == receivers and order in (None, *senders) else "MISMATCH"


class Machine(RuleBasedStateMachine):
    """Two writers on one database; `log` is what was sent, and anything of it may be delivered, ever again."""

    database: Database
    log = Bundle("log")
    batches = st.lists(log, min_size=1, max_size=6)

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.reader: psycopg.Connection[TupleRow] = psycopg.connect(self.database.conninfo(), autocommit=True)
        self.reader.execute("TRUNCATE bo.ledger_entries, bo.payment_orders, bo.consumer_dlq_events")
        self.writers = [self._run(self._connected()) for _ in range(2)]
        self.model = Model()
        self.sent = 0
        self.hashes: dict[tuple[str, int], tuple[Any, ...]] = {}

    def teardown(self) -> None:
        for writer in self.writers:
            self._run(writer.close())
        self.loop.close()
        self.reader.close()

    async def _connected(self) -> store.Connection:
        conn = await psycopg.AsyncConnection.connect(self.database.conninfo("bo_consumer"))
        await store.prepare(conn)
        return conn

    def _run(self, what: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(what)

    def _send(self, topic: str, body: Any, rank: tuple[int, datetime, int]) -> Sent:
        self.sent += 1
        return Sent(Envelope(topic, self.sent % 2, self.sent, b"k", b"%d" % self.sent, body), rank)

    def _hash(self, function: str, body: tuple[Any, ...]) -> int:
        row = self.reader.execute(f"SELECT bo.{function}({', '.join(['%s'] * len(body))})".encode(), body).fetchone()
        assert row is not None
        # A hash that leaves a field out would take two contents for one.
        assert self.hashes.setdefault((function, row[0]), body) == body
        return int(row[0])

    # What the source sends

    @rule(target=log, body=ENTRIES)
    def entry(self, body: LedgerEntry) -> Sent:
        return self._entry(body)

    def _entry(self, body: LedgerEntry) -> Sent:
        at = body.updated_at or body.event_time
        return self._send(L, body, (body.version, at, self._hash("ledger_entry_hash", body)))

    @rule(target=log, body=ORDERS)
    def order(self, body: PaymentOrder) -> Sent:
        return self._order(body)

    def _order(self, body: PaymentOrder) -> Sent:
        at = body.updated_at or body.created_at
        return self._send(O, body, (body.version, at, self._hash("payment_order_hash", body)))

    @rule(target=log, sent=log, entry=ENTRIES, order=ORDERS, field=st.integers(0, 10))
    def rival(self, sent: Sent, entry: LedgerEntry, order: PaymentOrder, field: int) -> Any:
        """What was sent, but for one field."""
        body, other = sent.envelope.body, entry if sent.envelope.topic == L else order
        if isinstance(body, ContractViolation):
            return multiple()
        name = body._fields[field % len(body._fields)]
        changed: Any = body._replace(**{name: getattr(other, name)})
        return self._entry(changed) if isinstance(changed, LedgerEntry) else self._order(changed)

    @rule(target=log, related=st.sampled_from(["o0", "o1"]), amount=AMOUNTS, version=VERSIONS)
    def payment(self, related: str, amount: Decimal, version: int) -> Any:
        """The two rows of one payment and its order, which may go different ways."""
        made = []
        for tx_id, kind in (("t0", "PAYMENT"), ("t1", "RECEIVE")):
            body = LedgerEntry(tx_id, "w0", kind, amount, amount, related, "PAYMENT_ORDER", START, None, None, version)
            made.append(self._entry(body))
        return multiple(*made)

    @rule(target=log, topic=st.sampled_from([L, O]))
    def broken(self, topic: str) -> Sent:
        return self._send(topic, ContractViolation("not_json", "why"), (0, START, 0))

    # What the writers do

    @rule(batch=batches, writer=st.integers(0, 1))
    def write(self, batch: list[Sent], writer: int) -> None:
        """One batch, whose books are known exactly."""
        expected = self._books(batch)
        self.model.apply(batch)
        assert _total([self._run(self._apply(writer, batch))]) == expected

    @rule(first=batches, second=batches)
    def race(self, first: list[Sent], second: list[Sent]) -> None:
        """Both writers at once, also on the same keys."""

        async def both() -> list[Any]:
            return list(await asyncio.gather(self._apply(0, first), self._apply(1, second)))

        total = _total(self._run(both()))
        assert total.consumed == len(first) + len(second)
        assert total.consumed == total.applied + total.duplicate + total.stale + total.dlq
        self.model.apply(first)
        self.model.apply(second)

    @rule(first=batches, second=batches)
    def overlap(self, first: list[Sent], second: list[Sent]) -> None:
        """Two transactions of which neither sees the other; on different keys, or one would wait for ever."""
        mine = {sent.key or sent.envelope[:3] for sent in first}
        second = [sent for sent in second if (sent.key or sent.envelope[:3]) not in mine]

        async def both() -> None:
            async with self.writers[0].transaction():
                await self._apply(0, first)
                if second:
                    await self._apply(1, second)

        self._run(both())
        self.model.apply(first)
        self.model.apply(second)

    @rule(batch=batches, writer=st.integers(0, 1))
    def fail(self, batch: list[Sent], writer: int) -> None:
        """A transaction that is rolled back at its end leaves nothing."""

        async def lost() -> None:
            async with self.writers[writer].transaction(force_rollback=True):
                await self._apply(writer, batch)

        self._run(lost())

    async def _apply(self, writer: int, batch: list[Sent]) -> Any:
        return await store.apply_batch(self.writers[writer], [sent.envelope for sent in batch], Progress("g"))

    def _books(self, batch: list[Sent]) -> Counts:
        """What one batch alone comes to: of each key one record at most is applied, and the rest was it, or was not."""
        counts = Counts(consumed=len(batch), dlq=sum(not sent.key for sent in batch))
        after = Model()
        after.rows = dict(self.model.rows)
        after.apply(batch)
        for key in {sent.key for sent in batch if sent.key}:
            won = after.rows[key] is not self.model.rows.get(key)
            same = sum(sent.key == key and sent.rank == after.rows[key].rank for sent in batch)
            counts.applied += won
            counts.duplicate += same - won
            counts.stale += sum(sent.key == key for sent in batch) - same
        return counts

    # What must hold at any time

    @invariant()
    def rows_are_the_greatest(self) -> None:
        for kind, table in ((LedgerEntry, "bo.ledger_entries"), (PaymentOrder, "bo.payment_orders")):
            query = f"SELECT {', '.join(kind._fields)} FROM {table}"  # noqa: S608
            assert {kind(*row) for row in self.reader.execute(query.encode())} == self.model.bodies(kind)

    @invariant()
    def pairs_are_of_the_rows(self) -> None:
        query = "SELECT related_id, pair_kind, pairing_status FROM bo.payment_ledger_pairs"
        assert {(one, two): status for one, two, status in self.reader.execute(query)} == self.model.pairs()

    @invariant()
    def dead_letters_are_the_broken_ones(self) -> None:
        query = 'SELECT topic, partition, "offset", payload FROM bo.consumer_dlq_events'
        assert {tuple(row[:3]): row[3] for row in self.reader.execute(query)} == self.model.broken


def _total(books: Sequence[Any]) -> Counts:
    total: Counter[str] = Counter()
    for one in books:
        for counts in one.values():
            total.update(vars(counts))
    # Whether a version conflicts is told by the store's own tests.
    return Counts(**{**total, "conflict": 0})


def test_any_interleaving_ends_as_the_model_says(module_database: Database) -> None:
    Machine.database = module_database
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Machine,
        # Without shrinking, which takes minutes on a real database; a failure prints its steps all the same.
        settings=settings(
            max_examples=15, stateful_step_count=25, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
        ),
    )
