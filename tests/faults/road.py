"""The road under load: broker, database, consumers and API, fed all the while, and proved after each fault.

Owns a stage whose consumers reach both servers through proxies, the feeder, and the comparison with its truth. Must
not compute an expectation by the code under test.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.faults.feeder import Feeder, Row
from tests.faults.proxy import KafkaWire, PostgresWire, Proxy
from tests.faults.recovery import MEASURED, Recovery
from tests.streamapp_live.broker import Broker
from tests.streamapp_live.stage import TOKEN, Stage
from tests.streamapp_live.worker import Process, until
from tests.support.postgres import PostgresServer

COLUMNS = {
    "bo.ledger_entries": "tx_id, wallet_id, entry_type, amount, amount_signed, related_id, related_type, event_time, "
                         "created_at, updated_at, version",
    "bo.payment_orders": "order_id, user_id, merchant_name, amount, status, created_at, updated_at, version",
}  # fmt: skip
_CONFIG = {"max.message.bytes": "16000000"}
PATIENCE = 120.0


class Road(Stage):
    """See the module. `members` are the consumers that should be running, `door` the API."""

    def __init__(
        self, server: PostgresServer, broker: Broker, folder: Path, to_postgres: Proxy, to_broker: Proxy
    ) -> None:
        keeps = broker.engine == "apache"
        super().__init__(server, broker, folder, _CONFIG if keeps else None)
        self.to_postgres, self.to_broker = to_postgres, to_broker
        # A broker that forgets breaks off a series of idempotent records for good.
        self.feeder = Feeder(broker.bootstrap, self.ledger, self.order, idempotent=keeps)
        self.members: list[Process] = []
        self.door: Process | None = None
        self.sound = True
        self._probes = 0

    @classmethod
    @contextmanager
    def open(cls, server: PostgresServer, broker: Broker, folder: Path) -> Iterator[Road]:
        """A road with one consumer and an API, under load."""
        port = int(broker.bootstrap.rpartition(":")[2])
        with (Proxy.running(server.port, lambda *_: PostgresWire()) as to_postgres,
              Proxy.running(port, KafkaWire) as to_broker):
            road = cls(server, broker, folder, to_postgres, to_broker)
            try:
                road.feeder.resume()
                road.door = road.api(ready=False)
                road.join()
                yield road
            finally:
                road.feeder.end()
                road.end()

    def environment(self, role: str) -> dict[str, str]:
        direct = super().environment(role)
        if role != "bo_consumer":
            return direct
        return {**direct, "PGPORT": str(self.to_postgres.port), "PGSSLMODE": "disable",
                "KAFKA_BOOTSTRAP": f"127.0.0.1:{self.to_broker.port}"}

    def join(self, **env: str) -> Process:
        """One more consumer."""
        member = self.consumer(**env)
        self.members.append(member)
        return member

    def again(self, member: Process, ready: bool = True, **env: str) -> Process:
        """What the supervisor does when a consumer has ended: the same one anew."""
        self.members[self.members.index(member)] = anew = self.consumer(ready, like=member, **env)
        return anew

    def leave(self, member: Process) -> None:
        self.members.remove(member)
        member.terminate()

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """The block is the fault, from its cause to the cause's end; then the time to recover, and the proof."""
        self.sound = False
        self.feeder.resume()
        self.flowing()
        sent, begun = self.feeder.sent, time.monotonic()
        yield
        ended = time.monotonic()
        self.flowing()
        recovered = time.monotonic()
        MEASURED.append(Recovery(name, ended - begun, recovered - ended, self.feeder.sent - sent))
        self.prove()
        self.sound = True

    def flowing(self) -> None:
        """Wait until an event of this moment is applied from every partition, and served."""
        self._probes += 1
        keys = []
        for partition in (0, 1):
            key = f"probe-{self._probes}-{partition}"
            keys.append(key)
            at = f"2026-01-01T00:00:{self._probes % 60:02}Z"
            self.feeder.event(self.order, {
                "order_id": key, "status": "PAID", "amount": "1", "created_at": at, "updated_at": at, "version": 1,
            }, partition)  # fmt: skip
            self.feeder.event(self.ledger, {
                "tx_id": key, "wallet_id": "w", "entry_type": "CHARGE", "amount": "1", "event_time": at,
                "updated_at": at, "version": 1,
            }, partition)  # fmt: skip
        assert self.door is not None
        head = {"Authorization": f"Bearer {TOKEN}"}
        for key in keys:
            until(lambda key=key: self.door.get(f"/admin/tx/{key}", **head)[0] == 200, PATIENCE)
            until(lambda key=key: self.door.get(f"/admin/payment-orders/{key}", **head)[0] == 200, PATIENCE)

    def prove(self) -> None:
        """All that was acknowledged is in the tables as it must be, and only what is broken in the dead letters."""
        self.feeder.pause()
        ends = {place: offset + 1 for place, offset in self.feeder.acknowledged.items()}
        until(lambda: self.committed() == ends, PATIENCE, every=0.2)
        for topic, table in ((self.ledger, "bo.ledger_entries"), (self.order, "bo.payment_orders")):
            assert self._differences(table, self.feeder.truth[topic]) == []
        assert self.dead_letters() == self.feeder.poison
        assert self.one("SELECT count(*) FROM bo.payment_ledger_pairs WHERE pairing_status <> 'COMPLETE'") == 0
        assert self.applied_offsets() == ends
        books = self.books()
        assert books["consumed"] == books["applied"] + books["duplicate"] + books["stale"] + books["dlq"]
        self.feeder.resume()

    def dead_letters(self) -> dict[tuple[str, int, int], bytes]:
        rows = self.rows('SELECT topic, partition, "offset", payload FROM bo.consumer_dlq_events')
        return {(topic, partition, offset): bytes(payload) for topic, partition, offset, payload in rows}

    def _differences(self, table: str, truth: dict[str, Row]) -> list[Any]:
        """Some of the keys whose row is missing, too many, or another one, with both rows."""
        stored = {row[0]: row for row in self.rows(f"SELECT {COLUMNS[table]} FROM {table}")}  # noqa: S608
        wrong = [key for key in truth.keys() | stored.keys() if truth.get(key) != stored.get(key)]
        return [(key, truth.get(key), stored.get(key)) for key in sorted(wrong)[:5]]


class Lane:
    """The road that faults share, one after the other; a fault that failed leaves none behind."""

    def __init__(self, server: PostgresServer, broker: Broker, folder: Path) -> None:
        self.server, self.broker, self._folder = server, broker, folder
        self._open: Any = None
        self._road: Road | None = None

    def road(self) -> Road:
        if self._road is None or not self._road.sound:
            self.close()
            self._open = Road.open(self.server, self.broker, self._folder)
            self._road = self._open.__enter__()
        return self._road

    def close(self) -> None:
        self._road = None
        if self._open is not None:
            self._open.__exit__(None, None, None)
            self._open = None


def everything(server: PostgresServer, number: int) -> None:
    """Signal the postmaster, before it could mend anything, and all its children."""
    postmaster = psutil.Process(server.process.pid)
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def kill_all(server: PostgresServer) -> None:
    """kill -9 of every process of the server, as when its machine loses power."""
    everything(server, signal.SIGKILL)
    server.process.wait(30)
