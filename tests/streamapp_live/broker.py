"""A Kafka-protocol broker for these tests, from the noida-db wheel, and topics with real records in it.

Owns one server process on a free loopback port with its data in a temporary folder, and removes both.
`kill()` and `start()` are there for fault tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests.support.postgres import free_port

LEDGER = "ledger.entry.upserted"
ORDER = "payment.order.upserted"


class Broker:
    """A running broker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[Broker]:
        folder = Path(tempfile.mkdtemp(prefix="txplan-broker-"))
        broker = cls(folder)
        try:
            broker.start()
            yield broker
        finally:
            broker.kill()
            shutil.rmtree(folder, ignore_errors=True)

    def start(self) -> None:
        binary = Path(str(files("noida_db").joinpath("noida-db")))
        if not os.access(binary, os.X_OK):
            binary.chmod(0o755)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(binary), "start", "--data-dir", str(self.folder / "data"),
                 "--only", "kafka", "--kafka-port", str(self.port)],
                cwd=self.folder, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while True:
            try:
                self.admin().list_topics(timeout=1)
                return
            except KafkaException:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline, "the broker did not start"

    def kill(self) -> None:
        if hasattr(self, "process") and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def terminate(self) -> None:
        """An orderly end, which keeps all data."""
        self.process.terminate()
        self.process.wait(20)

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def topics(self, suffix: str, partitions: int = 2) -> tuple[str, str]:
        """New topics for ledger entries and orders; their names."""
        names = (f"{LEDGER}.{suffix}", f"{ORDER}.{suffix}")
        admin = self.admin()  # Held, since its end would end the requests.
        for future in admin.create_topics([NewTopic(name, partitions, 1) for name in names]).values():
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
