"""The drain loop around a batch whose write hangs: a rebalance gives the batch up, and only a stop ends the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streamapp.app import StreamApp
from streamapp.consumer import transport
from streamapp.consumer.batches import Fetched, Owner
from streamapp.consumer.transport import BatchConsumer
from streamapp.settings import consumer_settings

PLACE = TP("ledger.entry.upserted", 0)
ENV = {
    "PGHOST": "127.0.0.1", "PGDATABASE": "d", "PGUSER": "u", "PGPASSWORD": "p", "KAFKA_BOOTSTRAP": "127.0.0.1:1",
    "WEB_PORT": "8080", "CONSUMER_GROUP": "g",
}  # fmt: skip


class Hanging:
    """The database side of a batch that never comes back; it drives the loop, which is the real one."""

    def __init__(self) -> None:
        self.writing = asyncio.Event()

    async def write(self, batch: Fetched, owner: Owner) -> None:
        self.writing.set()
        await asyncio.Event().wait()

    def on_poll(self) -> None: ...

    def on_silence(self, fault: str) -> None: ...

    async def on_turn(self, owner: Owner) -> None: ...

    async def on_positions(self, positions: Mapping[TP, int]) -> None: ...


async def taking(folder: Path) -> tuple[BatchConsumer, asyncio.Task[None]]:
    """A consumer, never connected, whose loop is within a batch."""
    consumer: Any = StreamApp(consumer_settings(ENV | {"STREAM_STATE_DIR": str(folder)})).consumer
    consumer.handler = handler = Hanging()
    consumer._set_active_tps({PLACE})
    task = asyncio.ensure_future(consumer._take({PLACE: [SimpleNamespace(offset=0)]}))
    await handler.writing.wait()
    return consumer, task


def test_a_batch_given_up_in_a_rebalance_does_not_end_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "DRAIN_SECONDS", 0)

    async def rebalance() -> None:
        consumer, task = await taking(tmp_path)
        await consumer.wait_empty()
        await task
        assert consumer._must_seek

    asyncio.run(rebalance())


def test_a_stop_ends_the_loop_and_leaves_the_batch_to_finish(tmp_path: Path) -> None:
    async def stop() -> None:
        consumer, task = await taking(tmp_path)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        batch = consumer._in_flight
        assert batch is not None and not batch.done()
        batch.cancel()

    asyncio.run(stop())
