"""A connection to a Kafka-protocol broker: its settings, its administration client, its errors.

Owns: how a failure is told. Must not: know what is administered (`positions`, `topics`).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from engine.model.diagnostic import Refused, error

CALL_S = 10.0
_PROBE_S = 5.0
_RETRY_EVERY_S = 0.1

T = TypeVar("T")

_AWAY = frozenset({KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._RESOLVE,
                   KafkaError._MSG_TIMED_OUT})
# A group's coordinator comes up on the first request for it.
_STARTING = frozenset({KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE,
                       KafkaError.NOT_COORDINATOR, KafkaError.NOT_LEADER_FOR_PARTITION,
                       KafkaError.LEADER_NOT_AVAILABLE, KafkaError._WAIT_COORD})


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach a broker. `ca_file` None is the system's own authorities."""

    bootstrap: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None

    def settings(self) -> dict[str, Any]:
        """As librdkafka names them."""
        found = {"bootstrap.servers": self.bootstrap, "security.protocol": self.security_protocol,
                 "sasl.mechanism": self.sasl_mechanism, "sasl.username": self.username,
                 "sasl.password": self.password, "ssl.ca.location": self.ca_file}
        return {key: value for key, value in found.items() if value is not None}

    def environment(self) -> Mapping[str, str]:
        """As variables for a process; holds the password where there is one."""
        found = {"KAFKA_BOOTSTRAP": self.bootstrap, "KAFKA_SECURITY_PROTOCOL": self.security_protocol,
                 "KAFKA_SASL_MECHANISM": self.sasl_mechanism, "KAFKA_SASL_USERNAME": self.username,
                 "KAFKA_SASL_PASSWORD": self.password, "KAFKA_SSL_CAFILE": self.ca_file}
        return {key: value for key, value in found.items() if value is not None}


class Session:
    """One administration client, opened when it is first used. Keep a session for one task only: after a broker's
    restart, a client that asked for a group before may wait for the old connection for ever."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._admin: AdminClient | None = None
        self._last_error = ""

    def reachable(self) -> bool:
        """Whether a broker answers; at most five seconds, at once where nothing listens."""
        return self.trouble() is None

    def trouble(self) -> str | None:
        """Why no broker answers, or None where one does."""
        host, _, port = self.connection.bootstrap.split(",")[0].rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=_PROBE_S).close()
            self.admin.list_topics(timeout=_PROBE_S)
        except (OSError, ValueError) as problem:
            return f"{self.connection.bootstrap}: {problem}"
        except KafkaException as problem:
            return self._last_error or _text(problem)
        return None

    def require(self) -> None:
        """Refused where no broker answers."""
        if trouble := self.trouble():
            raise self._away("connect", trouble)

    @property
    def admin(self) -> AdminClient:
        """The client for administration."""
        if self._admin is None:
            self._admin = AdminClient(self._options())
        return self._admin

    def partitions(self, topic: str) -> list[TopicPartition] | None:
        """All partitions of a topic, in order; None where there is no such topic."""
        with self.told("list topics"):
            # All topics, since asking for one by name makes it on brokers that create what is mentioned.
            found = self.admin.list_topics(timeout=CALL_S).topics.get(topic)
        return None if found is None else [TopicPartition(topic, number) for number in sorted(found.partitions)]

    @contextmanager
    def consumer(self) -> Iterator[Consumer]:
        """A consumer that joins no group."""
        consumer = Consumer(self._options() | {"group.id": "txplan-reader", "enable.auto.commit": False,
                                               "enable.partition.eof": True})
        try:
            yield consumer
        finally:
            consumer.close()

    def producer(self) -> Producer:
        """A producer for single records: no batching, short time-outs."""
        return Producer(self._options() | {"linger.ms": 0, "message.timeout.ms": int(CALL_S * 1000)})

    def wait(self, what: str, futures: Callable[[], Mapping[Any, Future[T]]]) -> T:
        """The answer of a call about one thing; Refused where it fails."""
        with self.told(what):
            return answer(futures)

    @contextmanager
    def told(self, what: str) -> Iterator[None]:
        """Turn the client's errors in the block into a diagnostic."""
        try:
            yield
        except (KafkaException, TimeoutError) as problem:
            if isinstance(problem, TimeoutError) or code(problem) in _AWAY:
                raise self._away(what, self._last_error or _text(problem)) from None
            raise Refused([error("broker-refused", f"the broker at {self.connection.bootstrap} refuses: {what}",
                                 _text(problem))]) from None

    def _away(self, what: str, detail: str) -> Refused:
        return Refused([error("broker-away", f"the broker at {self.connection.bootstrap} does not answer: {what}",
                              detail, "see that it runs, and that its address and credentials are right")])

    def _options(self) -> dict[str, Any]:
        # Log level 0: librdkafka would write to standard error; the last error is kept for the diagnostic instead.
        return self.connection.settings() | {
            "log_level": 0, "error_cb": self._on_error, "socket.timeout.ms": int(CALL_S * 1000),
            "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 500, "allow.auto.create.topics": False}

    def _on_error(self, problem: KafkaError) -> None:
        self._last_error = problem.str()


def answer(futures: Callable[[], Mapping[Any, Future[T]]],
           problem_in: Callable[[T], KafkaError | None] = lambda told: None) -> T:
    """The answer of a call about one thing, asked again while the broker's part for it comes up; raises
    KafkaException, also for a problem inside the answer, and TimeoutError."""
    deadline = time.monotonic() + CALL_S
    while True:
        try:
            told = next(iter(futures().values())).result(CALL_S)
            if (inside := problem_in(told)) is None:
                return told
            raise KafkaException(inside)
        except KafkaException as problem:
            if code(problem) not in _STARTING or time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_EVERY_S)


def code(problem: BaseException) -> int | None:
    """The Kafka error code of an exception, or None."""
    first = problem.args[0] if problem.args else None
    return first.code() if isinstance(problem, KafkaException) and isinstance(first, KafkaError) else None


def _text(problem: BaseException) -> str:
    first = problem.args[0] if problem.args else None
    return f"{first.name()}: {first.str()}" if isinstance(first, KafkaError) else (str(problem) or "no answer in time")
