"""The smoke job: one payment through the whole service, one broken event beside it, and no trace left of either.

Owns the checks (P5, P8.3) and its own cleaning-up, which also sweeps what an earlier, killed run left. Runs with the
migrator's login, since nobody else may delete a row. Every id begins with a reserved prefix, and nothing without it is
ever touched. The audit rows of its look-ups stay: they are true.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
import psycopg
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from streamapp import report
from streamapp.contract import LedgerEntry, PaymentOrder, Record, encode, key_of
from streamapp.report import JobError
from streamapp.settings import Kafka, kafka_settings, postgres_settings

PREFIX: Final = "txplan-smoke-"
_POLL_S: Final = 0.2

_SWEEP: Final = (
    "DELETE FROM bo.ledger_entries WHERE starts_with(tx_id, %(prefix)s)",
    "DELETE FROM bo.payment_orders WHERE starts_with(order_id, %(prefix)s)",
    "DELETE FROM bo.consumer_dlq_events "
    "WHERE substring(key FROM 1 FOR length(%(prefix)s)) = convert_to(%(prefix)s, 'UTF8')",
)
_GROUP: Final = "SELECT consumer_group FROM bo.cutovers WHERE state <> 'abandoned' ORDER BY id DESC LIMIT 1"
_DEAD: Final = """SELECT error_class FROM bo.consumer_dlq_events
                  WHERE topic = %s AND partition = %s AND "offset" = %s"""


class SmokeSpec(msgspec.Struct, forbid_unknown_fields=True):
    """SMOKE_SPEC: `api` is the API's base URL; `patience_s` is for how long each thing is waited for."""

    api: str
    patience_s: float = 45.0


@dataclass(frozen=True)
class Sent:
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


def main(_: list[str]) -> int:
    try:
        spec = msgspec.json.decode(os.environ.get("SMOKE_SPEC", ""), type=SmokeSpec)
    except msgspec.MsgspecError as problem:
        raise JobError("bad-spec", "SMOKE_SPEC cannot be used", str(problem)) from problem
    token = os.environ.get("API_TOKEN")
    if not token:
        raise JobError("no-token", "API_TOKEN is not set")
    kafka = kafka_settings(os.environ)
    with psycopg.connect(postgres_settings(os.environ).conninfo("txplan smoke"), autocommit=True) as connection:
        _Smoke(spec, token, kafka, connection).run()
    return 0


class _Smoke:
    def __init__(self, spec: SmokeSpec, token: str, kafka: Kafka, connection: psycopg.Connection[Any]) -> None:
        self._spec, self._token, self._kafka, self._db = spec, token, kafka, connection
        self._producer = Producer(kafka.librdkafka() | {"acks": "all", "enable.idempotence": True,
                                                        "message.timeout.ms": 15_000})
        self._ends: dict[tuple[str, int], int] = {}

    def run(self) -> None:
        """All checks, then the cleaning-up, also where a check failed."""
        self._sweep()
        try:
            self._answers()
            self._dead_letter()
        finally:
            cleaned = self._clean()
        report.result({"checks": "passed", "rows_removed": cleaned})

    def _answers(self) -> None:
        run = f"{PREFIX}{uuid.uuid4().hex}"
        now, one = datetime.now(UTC), Decimal("1.00")
        order = PaymentOrder(order_id=f"{run}-order", user_id=f"{run}-user", merchant_name="smoke", amount=one,
                             status="SETTLED", created_at=now, updated_at=now, version=1)
        self._send(self._kafka.hub_order, order)
        for side, entry_type in (("payer", "PAYMENT"), ("payee", "RECEIVE")):
            self._send(self._kafka.hub_ledger, _entry(f"{run}-{side}", entry_type, one, now, order.order_id))
        found = self._until(lambda: self._complete(f"{run}-payer"))
        _check("payment-is-complete", found, "a published payment is answered as 200 with COMPLETE")
        status, _ = self._get(f"/admin/tx/{run}-nobody", self._token)
        _check("unknown-is-404", status == 404, f"an unknown id is answered as {status}")
        status, _ = self._get(f"/admin/tx/{run}-payer", None)
        _check("no-credential-is-401", status == 401, f"a look-up without a credential is answered as {status}")

    def _complete(self, tx_id: str) -> bool:
        status, body = self._get(f"/admin/tx/{tx_id}", self._token)
        return status == 200 and body.get("pairing_status") == "COMPLETE"

    def _dead_letter(self) -> None:
        run = f"{PREFIX}{uuid.uuid4().hex}"
        dead = self._send_raw(self._kafka.hub_ledger, f"{run}-broken", b'{"tx_id": "broken on purpose"}')
        found = self._until(lambda: self._db.execute(
            _DEAD, (dead.topic, dead.partition, dead.offset)).fetchone() is not None)
        _check("broken-event-is-in-the-dlq", found, f"{dead.topic}/{dead.partition}@{dead.offset}")
        entry = _entry(f"{run}-after", "CHARGE", Decimal("1.00"), datetime.now(UTC), None)
        self._send(self._kafka.hub_ledger, entry, partition=dead.partition)
        alive = self._until(lambda: self._get(f"/admin/tx/{entry.tx_id}", self._token)[0] == 200)
        _check("stream-lives-on", alive, "an event behind the broken one, in its partition, is applied")

    def _send(self, topic: str, record: Record, partition: int | None = None) -> Sent:
        return self._send_raw(topic, key_of(record), encode(record), partition)

    def _send_raw(self, topic: str, key: str, value: bytes, partition: int | None = None) -> Sent:
        """Publish and wait for the broker's word."""
        told: list[Message | KafkaError] = []

        def delivered(problem: KafkaError | None, message: Message) -> None:
            told.append(problem or message)

        self._producer.produce(topic, value, key, -1 if partition is None else partition, on_delivery=delivered)
        self._producer.flush(20)
        if not told or isinstance(told[0], KafkaError):
            raise JobError("publish-failed", f"An event could not be published to {topic}",
                           str(told[0]) if told else "The broker did not answer in time")
        message = told[0]
        sent = Sent(str(message.topic()), int(message.partition() or 0), int(message.offset() or 0))
        self._ends[sent.topic, sent.partition] = sent.offset + 1
        return sent

    def _get(self, path: str, token: str | None) -> tuple[int, dict[str, Any]]:
        """Status and JSON body; status 0 where nobody answers."""
        request = urllib.request.Request(self._spec.api + path)
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                body: dict[str, Any] = json.loads(answer.read())
                return answer.status, body
        except urllib.error.HTTPError as answer:
            return answer.code, {}
        except (OSError, ValueError):
            return 0, {}

    def _until(self, holds: Callable[[], bool]) -> bool:
        """Whether it comes to hold in time."""
        until = time.monotonic() + self._spec.patience_s
        while not holds():
            if time.monotonic() > until:
                return False
            time.sleep(_POLL_S)
        return True

    def _clean(self) -> int:
        """Remove all traces, once the group has committed past them: before that, a consumer that restarts would
        read them again and bring them back."""
        group = self._db.execute(_GROUP).fetchone()
        if group is None or not self._until(lambda: self._committed(group[0])):
            report.progress(0, None, note="the group has not committed past the test's records; the next smoke sweeps")
        return self._sweep()

    def _committed(self, group: str) -> bool:
        asked = [TopicPartition(topic, partition) for topic, partition in self._ends]
        consumer = Consumer(self._kafka.librdkafka() | {"group.id": group, "enable.auto.commit": False})
        try:
            found = consumer.committed(asked, timeout=5)
        except KafkaException:
            return False
        finally:
            consumer.close()
        return all(p.offset >= self._ends[p.topic, p.partition] for p in found)

    def _sweep(self) -> int:
        with self._db.transaction():
            return sum(self._db.execute(statement, {"prefix": PREFIX}).rowcount for statement in _SWEEP)


def _entry(tx_id: str, entry_type: str, amount: Decimal, now: datetime, order_id: str | None) -> LedgerEntry:
    return LedgerEntry(
        tx_id=tx_id, wallet_id=f"{tx_id}-wallet", entry_type=entry_type, amount=amount,
        amount_signed=-amount if entry_type == "PAYMENT" else amount, related_id=order_id,
        related_type="PAYMENT_ORDER" if order_id else None, event_time=now, created_at=now, updated_at=now, version=1)


def _check(name: str, ok: bool, detail: str) -> None:
    report.emit("check", {"name": name, "ok": ok, "detail": detail})
    if not ok:
        raise JobError("smoke-failed", f"The check {name} does not hold", detail)
