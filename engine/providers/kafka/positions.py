"""Positions in logs, groups' offsets and the broker's clock.

Owns: what cutover, gates and proofs ask of a broker. Must not: create or change a hub.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # re-exported without saying so

from engine.model.diagnostic import Refused, error
from engine.providers.base import GroupState, Partition
from engine.providers.kafka.session import CALL_S, Session, answer, code

_ASK_AGAIN_S = 0.5


def earliest(session: Session, topic: str) -> Mapping[Partition, int]:
    """The log's start per partition; Refused where there is no such topic."""
    return _listed(session, topic, OffsetSpec.earliest())  # type: ignore[no-untyped-call]


def latest(session: Session, topic: str) -> Mapping[Partition, int]:
    """The offset of the next record per partition; Refused where there is no such topic."""
    return _listed(session, topic, OffsetSpec.latest())  # type: ignore[no-untyped-call]


def at_time(session: Session, topic: str, at: datetime) -> Mapping[Partition, int]:
    """Per partition the first offset whose timestamp (milliseconds) is at or after `at`; the latest where none is."""
    # Rounded up: a record stamped in the millisecond before `at` is before it.
    stamp = -((datetime(1970, 1, 1, tzinfo=UTC) - at) // timedelta(milliseconds=1))
    asked = [TopicPartition(topic, p.partition, stamp) for p in _partitions(session, topic)]
    # Taken before the question, so that what arrives in between cannot be skipped.
    ends = latest(session, topic)
    with session.told(f"offsets of {topic} by time"), session.consumer() as consumer:
        found = consumer.offsets_for_times(asked, timeout=CALL_S)
    return {(p.topic, p.partition): p.offset if p.offset >= 0 else ends[p.topic, p.partition] for p in found}


def committed(session: Session, group: str, topics: Sequence[str]) -> Mapping[Partition, int]:
    """Committed offsets of a group in `topics`; partitions without one are left out."""
    told = session.wait(f"offsets of group {group}", lambda: session.admin.list_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group)], request_timeout=CALL_S))
    return {(p.topic, p.partition): p.offset for p in told.topic_partitions or ()
            if p.topic in topics and p.offset >= 0}


def commit(session: Session, group: str, offsets: Mapping[Partition, int]) -> None:
    """Commit offsets for a group without members; Refused where it has some."""
    asked = [TopicPartition(topic, number, offset) for (topic, number), offset in sorted(offsets.items())]
    with session.told(f"commit for group {group}"):
        answer(lambda: session.admin.alter_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group, asked)], request_timeout=CALL_S),
            lambda told: next((p.error for p in told.topic_partitions or () if p.error), None))


def groups(session: Session, prefix: str) -> Sequence[str]:
    """Names of consumer groups that begin with `prefix`, sorted."""
    with session.told("list groups"):
        told = session.admin.list_consumer_groups(request_timeout=CALL_S).result(CALL_S)
    return sorted(g.group_id for g in told.valid or () if g.group_id.startswith(prefix))


def describe_group(session: Session, group: str) -> GroupState:
    """A group's state and how many members it has; one that is not there is `dead`, with none."""
    with session.told(f"describe group {group}"):
        try:
            told = answer(lambda: session.admin.describe_consumer_groups([group], request_timeout=CALL_S))
        except KafkaException as problem:
            if code(problem) != KafkaError.GROUP_ID_NOT_FOUND:
                raise
            return GroupState(group, "dead", 0)
    return GroupState(group, told.state.name.lower().replace("_", "-"), len(told.members))


def stamps(session: Session, offsets: Mapping[Partition, int]) -> Mapping[Partition, datetime]:
    """The stamps of the records at these offsets, or of the next ones after them; partitions where none comes within
    CALL_S are left out."""
    found: dict[Partition, datetime] = {}
    ends = {p: o for topic in {topic for topic, _ in offsets} for p, o in latest(session, topic).items()}
    wanted = {p: o for p, o in offsets.items() if o < ends.get(p, 0)}
    deadline = time.monotonic() + CALL_S
    with session.told("read stamps"), session.consumer() as consumer:
        # One partition at a time, from which one record is wanted: a batch of all would be as large as their logs.
        for (topic, number), offset in sorted(wanted.items()):
            consumer.assign([TopicPartition(topic, number, offset)])
            while time.monotonic() < deadline:
                message = consumer.poll(0.2)
                if message is None or message.topic() != topic or message.partition() != number:
                    continue
                if message.error() is None:
                    found[topic, number] = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
                break
    return found


def delete_group(session: Session, group: str, *, patience_s: float = 0.0) -> None:
    """Forget a group's offsets; no such group is no error; Refused where it has members, also after `patience_s`."""
    deadline = time.monotonic() + patience_s
    with session.told(f"delete group {group}"):
        while True:
            try:
                answer(lambda: session.admin.delete_consumer_groups([group], request_timeout=CALL_S))
                return
            except KafkaException as problem:
                if code(problem) == KafkaError.GROUP_ID_NOT_FOUND:
                    return
                if code(problem) != KafkaError.NON_EMPTY_GROUP or time.monotonic() > deadline:
                    raise
            time.sleep(_ASK_AGAIN_S)


def append_stamp(session: Session, topic: str) -> datetime | None:
    """The broker's clock, as it stamps a record that is written to `topic` now; None where it does not stamp."""
    delivered: list[tuple[KafkaError | None, Message]] = []
    with session.told(f"write to {topic}"):
        producer = session.producer()
        producer.produce(topic, value=b"", on_delivery=lambda problem, message: delivered.append((problem, message)))
        producer.flush(CALL_S)
    if not delivered or delivered[0][0] is not None:
        raise Refused([error("broker-away", f"no record could be written to {topic}",
                             str(delivered[0][0]) if delivered else "no answer in time")])
    kind, stamp = delivered[0][1].timestamp()
    return datetime.fromtimestamp(stamp / 1000, UTC) if kind == TIMESTAMP_LOG_APPEND_TIME else None


def _listed(session: Session, topic: str, spec: OffsetSpec) -> Mapping[Partition, int]:
    asked = dict.fromkeys(_partitions(session, topic), spec)
    with session.told(f"offsets of {topic}"):
        told = session.admin.list_offsets(asked, request_timeout=CALL_S)
        return {(p.topic, p.partition): future.result(CALL_S).offset for p, future in told.items()}


def _partitions(session: Session, topic: str) -> list[TopicPartition]:
    found = session.partitions(topic)
    if found is None:
        raise Refused([error("no-topic", f"the broker has no topic {topic}", mend="apply the manifest first")])
    return found
