"""A broker for the tests of the running service, of any engine that the local target has.

Owns topics and the publishing of records. The process is the broker tests' own `Server`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from engine.model.diagnostic import Refused
from engine.providers.local.brokers import ENGINES
from engine.providers.local.brokers.engine import Place
from tests.brokers.server import QUIET, Server
from tests.support.postgres import free_port

LEDGER = "ledger.entry.upserted"
ORDER = "payment.order.upserted"


class Broker:
    """A running broker; `stop`, `start` and `kill` are the server's."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.engine = server.engine.name
        self.bootstrap = server.bootstrap

    @classmethod
    @contextmanager
    def started(cls, engine: str = "noida") -> Iterator[Broker]:
        """A new broker; skips the test where this engine cannot run here, and says why."""
        kind = ENGINES[engine]
        try:
            with tempfile.TemporaryDirectory() as folder:
                place = Place(Path(folder), {port: free_port() for port in kind.ports})
                kind.prepare(place, QUIET)
                kind.command(place)
        except Refused as problem:
            pytest.skip(f"not run on {engine}: {problem}")
        with Server.running(kind) as server:
            yield cls(server)

    def topics(self, suffix: str, partitions: int = 2, config: Mapping[str, str] | None = None) -> tuple[str, str]:
        """New topics for ledger entries and orders, with what `config` sets of them; their names."""
        names = (f"{LEDGER}.{suffix}", f"{ORDER}.{suffix}")
        # Held, since the client's end would end its requests.
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        wanted = [NewTopic(name, partitions, 1, config=dict(config or {})) for name in names]
        for future in admin.create_topics(wanted).values():
            future.result(20)
        return names

    def produce(self, topic: str, records: Iterable[tuple[str, bytes]]) -> int:
        """Publish keyed records and wait until the broker has all; how many."""
        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5, "acks": "all", "log_level": 0})
        count = 0
        for key, value in records:
            while True:
                try:
                    producer.produce(topic, value, key.encode())
                    break
                except BufferError:
                    producer.poll(0.1)
            count += 1
        assert producer.flush(60) == 0
        return count
