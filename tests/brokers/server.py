"""One broker engine run directly, in a folder of its own on free ports: the contract's subject.

Owns its process and folder, and removes both. The local target runs the same engines under its supervisor.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer

from engine.model.diagnostic import Refused
from engine.providers.kafka import topics
from engine.providers.kafka.session import Connection, Session
from engine.providers.local import launch
from engine.providers.local.brokers.engine import BrokerEngine, Place, Say
from tests.support.postgres import free_port

DAY_MS = 86_400_000
_START_S = 60.0
# What a machine may lack; any other refusal is a failure.
_LACKING = {"broker-not-installed", "java-missing", "maven-missing", "kafka-missing", "kafka-fetch-failed"}
QUIET = Say(lambda note: None, lambda: False)


class Server:
    """A broker of one engine. `session` is what the product talks to it by, a new one at each use."""

    def __init__(self, engine: BrokerEngine, folder: Path) -> None:
        self.engine = engine
        self.place = Place(folder / "broker", {port: free_port() for port in engine.ports})
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextmanager
    def running(cls, engine: BrokerEngine) -> Iterator[Server]:
        """A started server, ended at the end of the block."""
        with tempfile.TemporaryDirectory(prefix="txplan-broker-", ignore_cleanup_errors=True) as folder:
            server = cls(engine, Path(folder))
            try:
                server.start()
                yield server
            finally:
                server.kill()

    @classmethod
    @contextmanager
    def running_or_skip(cls, engine: BrokerEngine) -> Iterator[Server]:
        """The same; where this machine lacks what the engine needs, the test is skipped and says what."""
        with ExitStack() as stack:
            try:
                server = stack.enter_context(cls.running(engine))
            except Refused as problem:
                if not {d.code for d in problem.diagnostics} <= _LACKING:
                    raise
                pytest.skip(f"not run on {engine.name}: {problem}; {problem.diagnostics[0].mend}")
            yield server

    @property
    def session(self) -> Session:
        return Session(Connection(self.place.bootstrap))

    @property
    def bootstrap(self) -> str:
        return self.place.bootstrap

    def start(self) -> None:
        self.engine.prepare(self.place, QUIET)
        log = self.place.folder / "log"
        # By the launcher, so that a server dies with a test run that is killed.
        program = {"command": self.engine.command(self.place), "directory": str(self.place.folder), "user": None,
                   "environment": dict(self.engine.environment(self.place)), "parent": os.getpid(), "input": ""}
        with log.open("ab") as output:
            self._process = subprocess.Popen([sys.executable, "-I", "-S", launch.__file__, "-"], stdin=subprocess.PIPE,
                                             stdout=output, stderr=output, start_new_session=True)
        assert self._process.stdin is not None
        with self._process.stdin as pipe:
            pipe.write(json.dumps(program).encode())
        deadline = time.monotonic() + _START_S
        while not self.session.reachable():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.engine.name} does not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Gracefully, as the supervisor would."""
        assert self._process is not None
        self._process.send_signal(getattr(signal, f"SIG{self.engine.stop_signal}"))
        self._process.wait(self.engine.stop_seconds)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def settle(self) -> None:
        """Wait until the engine has written a snapshot, where it is one that writes snapshots."""
        snapshot = self.place.folder / "data" / "kafka.json"
        if self.engine.name != "noida":
            return
        before = snapshot.stat().st_mtime_ns if snapshot.exists() else 0
        wait_for(lambda: snapshot.exists() and snapshot.stat().st_mtime_ns != before)

    def topic(self, partitions: int = 2) -> str:
        """A new topic as a hub is made."""
        name = f"hub.{uuid4().hex[:12]}"
        topics.ensure(self.session, name, partitions, 3 * DAY_MS)
        return name

    def produce(self, topic: str, records: list[tuple[bytes | None, bytes]], *, partition: int = -1,
                timestamp: int = 0, settings: Mapping[str, Any] | None = None) -> list[tuple[int | None, Message]]:
        """Write the records in order and wait for all; (error code or None, delivered message) of each."""
        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5, "log_level": 0, **(settings or {})})
        told: list[tuple[int | None, Message]] = []

        def delivered(problem: KafkaError | None, message: Message) -> None:
            told.append((problem.code() if problem else None, message))

        for key, value in records:
            producer.produce(topic, key=key, value=value, partition=partition, timestamp=timestamp,
                             on_delivery=delivered)
        assert producer.flush(20) == 0
        return told

    def consumer(self, group: str, **settings: Any) -> Consumer:
        return Consumer({"bootstrap.servers": self.bootstrap, "group.id": group, "enable.auto.commit": False,
                         "auto.offset.reset": "earliest", "log_level": 0, "session.timeout.ms": 6000,
                         "heartbeat.interval.ms": 300, **settings})


def wait_for(done: Any, seconds: float = 30.0) -> None:
    """Poll until `done()` holds."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.02)


def read(consumer: Consumer, count: int, seconds: float = 30.0) -> list[Message]:
    """Messages until there are `count`."""
    found: list[Message] = []
    deadline = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            found.append(message)
    return found
