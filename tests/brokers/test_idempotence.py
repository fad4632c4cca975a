"""The contract: a batch that an idempotent producer sends again, since the answer was lost, is written once."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka.client import AIOKafkaClient  # type: ignore[import-untyped]
from aiokafka.protocol.produce import ProduceRequest  # type: ignore[import-untyped]
from aiokafka.protocol.transaction import InitProducerIdRequest  # type: ignore[import-untyped]
from aiokafka.record.default_records import DefaultRecordBatchBuilder  # type: ignore[import-untyped]

from engine.providers.kafka import positions
from tests.brokers.differences import Contract
from tests.brokers.server import Server

_NONE = 0
_STARTING = {14, 15, 16}  # The coordinator of producers comes up when it is first asked.
_WAIT_S = 20.0


async def _send(bootstrap: str, topic: str, times: int) -> list[tuple[int, int]] | None:
    """Send the same two batches of an idempotent producer `times` over; (error, base offset) of each answer, None
    where the broker gives the producer no id."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    try:
        node = client.get_random_node()
        made = await _producer(client, node)
        if made.error_code != _NONE:
            return None
        answers = []
        for batch in [b for sequence in (0, 3) for b in [_batch(made, sequence)] * times]:
            request = ProduceRequest(transactional_id=None, required_acks=-1, timeout=10_000,
                                     topics=[(topic, [(0, batch)])])
            told = await client.send(node, request)
            [(_, [(_, problem, offset, *_)])] = told.topics
            answers.append((problem, offset))
        return answers
    finally:
        await client.close()


async def _producer(client: AIOKafkaClient, node: int) -> Any:
    async with asyncio.timeout(_WAIT_S):
        while True:
            made = await client.send(node, InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=10_000))
            if made.error_code not in _STARTING:
                return made
            await asyncio.sleep(0.1)


def _batch(producer: Any, sequence: int) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=False, producer_id=producer.producer_id,
        producer_epoch=producer.producer_epoch, base_sequence=sequence, batch_size=100_000)
    for number in range(3):
        builder.append(number, timestamp=0, key=b"k", value=b"%d" % number, headers=[])
    return bytes(builder.build())


def test_repeated_batches(server: Server, contract: Contract) -> None:
    name = server.topic(1)
    answers = asyncio.run(_send(server.bootstrap, name, times=2))
    contract.holds("idempotence", {"answers": answers, "records": positions.latest(server.session, name)[name, 0]},
                   {"answers": [(0, 0), (0, 0), (0, 3), (0, 3)], "records": 6})
