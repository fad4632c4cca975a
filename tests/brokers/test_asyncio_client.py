"""The contract by the client of the stream app's Faust: join, fetch, commit, share, go on after a leaver."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]

from engine.providers.kafka import positions
from tests.brokers.differences import Contract
from tests.brokers.server import Server

_WAIT_S = 30.0


def _consumer(server: Server, group: str, topic: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        topic, bootstrap_servers=server.bootstrap, group_id=group, enable_auto_commit=False,
        auto_offset_reset="earliest", session_timeout_ms=6000, heartbeat_interval_ms=300, rebalance_timeout_ms=6000)


async def _take(consumer: AIOKafkaConsumer, count: int) -> int:
    """Fetch `count` records and commit each batch once it is had."""
    taken = 0
    async with asyncio.timeout(_WAIT_S):
        while taken < count:
            batches = await consumer.getmany(timeout_ms=200)
            taken += sum(len(batch) for batch in batches.values())
            if batches:
                await consumer.commit({part: batch[-1].offset + 1 for part, batch in batches.items()})
    return taken


async def _holds(consumer: AIOKafkaConsumer, count: int) -> bool:
    async with asyncio.timeout(_WAIT_S):
        while len(consumer.assignment()) != count:
            await asyncio.sleep(0.05)
    return True


async def _life(server: Server, group: str, topic: str) -> dict[str, object]:
    first, second = _consumer(server, group, topic), _consumer(server, group, topic)
    await first.start()
    alone = await _take(first, 8)
    committed = [await first.committed(TopicPartition(topic, number)) for number in (0, 1)]
    await second.start()
    shared = await _holds(first, 1) and await _holds(second, 1)
    await asyncio.to_thread(_more, server, topic)
    both = sum(await asyncio.gather(_take(first, 4), _take(second, 4)))
    await second.stop()
    left = await _holds(first, 2)
    await asyncio.to_thread(_more, server, topic)
    rest = await _take(first, 8)
    await first.stop()
    return {"alone": alone, "committed": committed, "shared": shared, "both": both, "left": left, "rest": rest}


def _more(server: Server, topic: str) -> None:
    for partition in (0, 1):
        server.produce(topic, [(None, b"%d" % i) for i in range(4)], partition=partition)


def test_a_group_of_two(server: Server, contract: Contract) -> None:
    topic, group = server.topic(), f"bo-sync-{uuid4().hex[:8]}-v1"
    _more(server, topic)
    answer = asyncio.run(_life(server, group, topic))
    end = positions.committed(server.session, group, [topic])
    contract.holds("asyncio-client", {**answer, "end": sorted(end.values())}, {
        "alone": 8, "committed": [4, 4], "shared": True, "both": 8, "left": True, "rest": 8, "end": [12, 12]})
