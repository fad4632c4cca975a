"""Faust's consumer thread, which holds aiokafka's consumer, with the questions that batches need.

Owns: what runs on the thread's own loop: look-ups of offsets, commits, the first connection, and the
note of who we are in the group. Must not: know batches or the database.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, cast

from aiokafka import client  # type: ignore[import-untyped]
from aiokafka.errors import (  # type: ignore[import-untyped]
    CommitFailedError,
    IllegalStateError,
    KafkaConnectionError,
)
from aiokafka.protocol.metadata import MetadataRequest  # type: ignore[import-untyped]
from aiokafka.structs import OffsetAndMetadata, TopicPartition  # type: ignore[import-untyped]
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streamapp.consumer.batches import BatchHandler
from streamapp.consumer.member import Membership

RETRY_SECONDS = 0.5
#: How long the broker may hold a fetch that has found nothing.
FETCH_WAIT_MS = 100
#: The least time that an empty fetch takes, on our side. Apache Kafka holds one for FETCH_WAIT_MS; a broker that
#: answers at once would be asked a thousand times a second, at half a processor's cost.
EMPTY_FETCH_SECONDS = 0.02
#: How long a question to the broker may take before the caller goes on without its answer.
ANSWER_SECONDS = 5.0


class RebalanceListener(driver.ConsumerRebalanceListener):
    """Faust's listener, which also keeps the note of who we are in the group."""

    _thread: BatchConsumerThread

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Before every join: give the partitions back, then leave for a member we no longer are."""
        await super().on_partitions_revoked(revoked)
        await self._thread.leave_behind()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """After every join."""
        self._thread.note_member()
        await super().on_partitions_assigned(assigned)


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread with the questions that batches need; all of them run on its loop."""

    @property
    def _handler(self) -> BatchHandler:
        return cast(BatchHandler, cast(Any, self.transport).handler)

    @property
    def _membership(self) -> Membership:
        return cast(Membership, cast(Any, self.transport).membership)

    def _create_worker_consumer(self, transport: Any) -> Any:
        """Faust's consumer with a shorter fetch; Faust has no setting for it.

        A broker answers one request of a connection after the other, so what is asked while a fetch waits
        for records waits with it: the look-up of the ends, and the next fetch of a partition that was
        read empty meanwhile. Faust's 1.5 s would be the rhythm of a busy stream.
        """
        _never_make_topics()
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        """Join the broker; one that does not answer yet is waited for, not died of."""
        while True:
            try:
                await super().on_start()
                return _pace_empty_fetches(self._ensure_consumer()._fetcher)
            except KafkaConnectionError as error:
                self.log.warning("the broker does not answer (%s); trying again", error)
                self._handler.on_silence(type(error).__name__)
                if self._consumer is not None:
                    await self._consumer.stop()
                    self._consumer = None
            if self.should_stop or self.app.should_stop:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def leave_behind(self) -> None:
        """Leave the group for the member that this replica was before, where it is another one now."""
        consumer = self._ensure_consumer()
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._membership.leave_behind(consumer._client, consumer._coordinator.member_id)

    def note_member(self) -> None:
        """Note the member id that the group gave us."""
        self._membership.joined(self._ensure_consumer()._coordinator.member_id)

    async def run_here(self, coro: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on this thread's loop and await it from the caller's; cancelling reaches it.

        Not through Faust's method queue: two questions to a silent broker would fill its two workers,
        and the next poll would wait behind them.
        """
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coro, self.thread_loop))

    async def committed_or_start(self, tps: set[TP]) -> dict[TP, tuple[int, int]]:
        """``{partition: (where to go on, the log's start)}``, from the broker."""
        consumer = self._ensure_consumer()
        starts = await consumer.beginning_offsets([_key(tp) for tp in tps])
        out = {}
        for tp in tps:
            committed = await consumer.committed(_key(tp))
            out[tp] = (starts[_key(tp)] if committed is None else committed, starts[_key(tp)])
        return out

    async def end_offsets(self, tps: set[TP]) -> dict[TP, int]:
        """``{partition: the log's end}``, from the broker (not the fetcher's last answer)."""
        ends = await self._ensure_consumer().end_offsets([_key(tp) for tp in tps])
        return {TP(key.topic, key.partition): end for key, end in ends.items()}

    async def commit_owned(self, offsets: Mapping[TP, int]) -> bool:
        """Commit; false when the partitions are somebody else's by now, who reads them again."""
        wanted = {_key(tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}
        try:
            await self._ensure_consumer().commit(wanted)
        except (CommitFailedError, IllegalStateError):
            return False
        return True


def _pace_empty_fetches(fetcher: Any) -> None:
    """Make each fetch that brought nothing last at least EMPTY_FETCH_SECONDS; others go on at full speed."""
    fetch = fetcher._proc_fetch_request

    async def paced(assignment: Any, node: int, request: Any) -> bool:
        begun = time.monotonic()
        brought: bool = await fetch(assignment, node, request)
        if not brought:
            # A fetch is cancelled when the fetcher closes, which then expects it to end and not to raise.
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(max(0.0, EMPTY_FETCH_SECONDS - (time.monotonic() - begun)))
        return brought

    fetcher._proc_fetch_request = paced


def _never_make_topics() -> None:
    """Have aiokafka ask for topics without making them; it has no setting for it.

    A hub that is being replaced is missing for a moment. Made by our question, it would come back in the broker's
    default shape, and the replacement would find its name taken.
    """
    client.MetadataRequest = partial(MetadataRequest, allow_auto_topic_creation=False)


def _key(tp: TP) -> TopicPartition:
    return TopicPartition(tp.topic, tp.partition)
