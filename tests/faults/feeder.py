"""The load, and the truth: what the tables must hold once all of it has arrived.

Owns the events it sends and the reference that they add up to: of each key, the greatest by version and time. It
makes its own JSON and knows nothing of the code under test. A record counts as sent when the broker acknowledged it;
one that could not be delivered fails the run.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

PAYMENTS_A_SECOND = 100
POISON = (
    b"{", b"\xff\xfe\x80", b"", b"NaN", b'{"tx_id": "\\u0000", "wallet_id": "w", "type": "T", "amount": "1", '
    b'"event_time": "2026-01-01T00:00:00Z"}', b'{"tx_id": "p", "wallet_id": "w", "type": "T", "amount": NaN, '
    b'"event_time": "2026-01-01T00:00:00Z"}', b'{"tx_id": "p"}', b"[" * 5000,
)  # fmt: skip
Row = tuple[Any, ...]
Place = tuple[str, int, int]


class Feeder:
    """Publishes payments in a thread of its own: disordered, doubled, updated, and with a share of poison."""

    def __init__(self, bootstrap: str, ledger: str, order: str, idempotent: bool) -> None:
        self.ledger, self.order = ledger, order
        self.truth: dict[str, dict[str, Row]] = {ledger: {}, order: {}}
        self.poison: dict[Place, bytes] = {}
        self.acknowledged: dict[tuple[str, int], int] = {}
        self.sent = 0
        #: What of the next records' values shall be broken, and by how much their times are off.
        self.poison_share = 0.0
        self.skew = timedelta(0)
        #: The last records, for a source that has to say them again.
        self.recent: deque[tuple[float, str, bytes | None, bytes]] = deque(maxlen=20_000)
        self._rng = random.Random(7)
        self._number = 0
        self._failed: KafkaError | None = None
        self._go, self._end = threading.Event(), threading.Event()
        self._turn, self._lock = threading.Lock(), threading.Lock()
        self._producer = Producer({
            "bootstrap.servers": bootstrap, "enable.idempotence": idempotent, "linger.ms": 10, "log_level": 0,
            "message.timeout.ms": 240_000, "message.max.bytes": 16_000_000, "reconnect.backoff.max.ms": 500,
        })  # fmt: skip
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def resume(self) -> None:
        self._go.set()

    def pause(self) -> None:
        """Stop, and wait until the broker has acknowledged everything."""
        self._go.clear()
        with self._turn, self._lock:
            left = self._producer.flush(240)
        assert left == 0 and self._failed is None, f"{left} not delivered: {self._failed}"

    def end(self) -> None:
        self._end.set()
        self._thread.join(30)

    def payment(self) -> None:
        """Publish one payment, whole."""
        self._number += 1
        number, rng = self._number, self._rng
        at = datetime.now(UTC) + self.skew
        amount = Decimal(rng.randrange(1, 10**7)) / 100
        order_id = f"po-{number}"
        common = {"amount": f"{amount:.2f}", "created_at": _iso(at)}
        settled = [({"order_id": order_id, "user_id": f"u{number % 50}", "status": status, **common}, version)
                   for version, status in ((1, "CREATED"), (2, "SETTLED"))]
        sides = [({"tx_id": f"tx-{number}-{side}", "wallet_id": f"{side}{number % 90}", "entry_type": kind,
                   "related_id": order_id, "related_type": "PAYMENT_ORDER", "event_time": _iso(at), **common}, 1)
                 for side, kind in (("p", "PAYMENT"), ("r", "RECEIVE"))]
        if rng.random() < 0.3:
            body, _ = rng.choice(sides)
            sides.append(({**body, "wallet_id": "moved"}, rng.choice((1, 2))))
        events = [(self.order, *event) for event in settled] + [(self.ledger, *event) for event in sides]
        events += [rng.choice(events)] if rng.random() < 0.2 else []
        steps = {id(event[1]): timedelta(milliseconds=step) for step, event in enumerate(events)}
        rng.shuffle(events)
        for topic, body, version in events:
            self.event(topic, {**body, "version": version, "updated_at": _iso(at + steps[id(body)])})
        if rng.random() < self.poison_share:
            self.broken(rng.choice((self.ledger, self.order)), rng.choice(POISON))

    def event(self, topic: str, body: dict[str, Any], partition: int = -1) -> None:
        """Publish a right event, and let it count."""
        row = self.row(topic, body)
        with self._lock:
            known = self.truth[topic].get(row[0])
            if known is None or _order(row) > _order(known):
                self.truth[topic][row[0]] = row
        self.raw(topic, row[0].encode(), json.dumps(body).encode(), partition)

    def counts(self, topic: str, row: Row) -> None:
        """A row that `raw` brings, in the table's columns."""
        with self._lock:
            self.truth[topic][row[0]] = row

    def broken(self, topic: str, value: bytes) -> None:
        """Publish what belongs into the dead letters."""
        self.raw(topic, b"poison", value, poison=True)

    def raw(self, topic: str, key: bytes | None, value: bytes, partition: int = -1, poison: bool = False) -> None:
        def delivered(problem: KafkaError | None, message: Message) -> None:
            if problem is not None:
                self._failed = problem
                return
            place, offset = (topic, message.partition() or 0), message.offset() or 0
            self.acknowledged[place] = max(offset, self.acknowledged.get(place, -1))
            if poison:
                self.poison[*place, offset] = value

        stamp = int((time.time() + self.skew.total_seconds()) * 1000)
        with self._lock:
            while True:
                try:
                    self._producer.produce(topic, value, key, partition, delivered, stamp)
                    break
                except BufferError:
                    self._producer.poll(0.1)
            self.sent += 1
            self.recent.append((time.monotonic(), topic, key, value))
            self._producer.poll(0)

    def again(self, since: float) -> None:
        """Say again what was sent since then (monotonic seconds), as a source does whose broker has forgotten."""
        for at, topic, key, value in list(self.recent):
            if at >= since:
                self.raw(topic, key, value)

    def row(self, topic: str, body: dict[str, Any]) -> Row:
        """The table's columns of an event that is right as it is."""
        when: Callable[[str], datetime | None] = lambda name: _time(body.get(name))  # noqa: E731
        amount = Decimal(body["amount"])
        if topic == self.order:
            return (body["order_id"], body.get("user_id"), body.get("merchant_name"), amount, body["status"],
                    when("created_at"), when("updated_at"), body["version"])
        signed = -amount if body["entry_type"] == "PAYMENT" else amount
        return (body["tx_id"], body["wallet_id"], body["entry_type"], amount, signed, body.get("related_id"),
                body.get("related_type"), when("event_time"), when("created_at"), when("updated_at"), body["version"])

    def _run(self) -> None:
        due = time.monotonic()
        while not self._end.is_set():
            if not self._go.wait(0.2):
                due = time.monotonic()
                continue
            with self._turn:
                if self._go.is_set():
                    self.payment()
            due += 1 / PAYMENTS_A_SECOND
            time.sleep(max(0.0, due - time.monotonic()))


def _order(row: Row) -> tuple[int, datetime]:
    """The total order, as far as this load needs it: no two rows of one key and version have the same time."""
    return row[-1], row[-2]


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
