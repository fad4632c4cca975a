"""Topics: what is declared of a hub, and bringing the broker to it.

Owns: partitions, retention and the append-time stamp of a topic. Must not: change the number of partitions of a topic
in place, for keys would move to other partitions and lose their order (as on Event Hubs Standard, where it is refused).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without saying so
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
)

from engine.model.diagnostic import Refused, error
from engine.providers.kafka.session import CALL_S, Session, answer, code

_RETENTION = "retention.ms"
_STAMP = "message.timestamp.type"
_APPEND = "LogAppendTime"
_SETTLE_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is. `retention_ms` -1 is for ever; `append_stamps`: the broker stamps records when it appends
    them, as Event Hubs does."""

    name: str
    partitions: int
    retention_ms: int
    append_stamps: bool


def names(session: Session) -> Sequence[str]:
    """All topics but the broker's own, sorted."""
    with session.told("list topics"):
        found = session.admin.list_topics(timeout=CALL_S).topics
    return sorted(name for name in found if not name.startswith("__"))


def describe(session: Session, name: str) -> Topic | None:
    """The topic, or None where there is none."""
    partitions = session.partitions(name)
    if partitions is None:
        return None
    config = session.wait(f"settings of {name}", lambda: session.admin.describe_configs(
        [ConfigResource(ConfigResource.Type.TOPIC, name)], request_timeout=CALL_S))
    values = {entry.name: entry.value for entry in config.values()}
    # A setting that the broker does not list is at Kafka's default: a week, the producer's stamp.
    return Topic(name, len(partitions), int(values.get(_RETENTION) or 604_800_000), values.get(_STAMP) == _APPEND)


def ensure(session: Session, name: str, partitions: int, retention_ms: int) -> None:
    """Create the topic, or change its retention and stamps in place; Refused where its partitions differ."""
    live = describe(session, name)
    if live is None:
        _create(session, name, partitions, retention_ms)
        return
    if live.partitions != partitions:
        raise Refused([error("partitions-fixed", f"{name} has {live.partitions} partitions, not {partitions}",
                             "a topic's number of partitions never changes in place: keys would lose their order",
                             "replace the hub")])
    changes = ({_RETENTION: str(retention_ms)} if live.retention_ms != retention_ms else {}) | (
        {} if live.append_stamps else {_STAMP: _APPEND})
    if changes:
        entries = [ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in changes.items()]
        resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)
        session.wait(f"change settings of {name}", lambda: session.admin.incremental_alter_configs(
            [resource], request_timeout=CALL_S))


def delete(session: Session, name: str) -> None:
    """Delete the topic with its records and wait until it is gone; none is no error."""
    with session.told(f"delete topic {name}"):
        try:
            answer(lambda: session.admin.delete_topics([name], request_timeout=CALL_S))
        except KafkaException as problem:
            if code(problem) != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
    _settle(session, name, there=False)


def _create(session: Session, name: str, partitions: int, retention_ms: int) -> None:
    topic = NewTopic(name, num_partitions=partitions, replication_factor=1,
                     config={_RETENTION: str(retention_ms), _STAMP: _APPEND})
    with session.told(f"create topic {name}"):
        try:
            answer(lambda: session.admin.create_topics([topic], request_timeout=CALL_S))
        except KafkaException as problem:
            # Somebody was quicker, with the very same or with another shape: the next observation tells.
            if code(problem) != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    _settle(session, name, there=True)


def _settle(session: Session, name: str, *, there: bool) -> None:
    """Brokers answer before all of their parts know."""
    deadline = time.monotonic() + CALL_S
    while (session.partitions(name) is not None) is not there:
        if time.monotonic() > deadline:
            raise Refused([error("broker-away", f"{name} is still {'missing' if there else 'there'} on the broker",
                                 mend="apply again")])
        time.sleep(_SETTLE_EVERY_S)
