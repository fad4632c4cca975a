"""Faust's Kafka transport with a drain loop that hands over whole batches.

Owns: polling, the filter of partitions that were lost meanwhile, the commit after the write, and
what happens to a batch in flight when partitions are revoked or the worker stops.
Must not: decode a record, touch the database, or decide what a fault means; that is the handler's.

Faust stays the consumer: its thread joins the group, heartbeats and rebalances, its services start
and stop in its order. Only ``_drain_messages`` differs, since the stream iterator behind it costs
ten times what decoding and writing a record costs.

Rules that hold here:

- An offset is committed only after the transaction that wrote its record.
- What was fetched and not written is read again: before the next poll every owned partition is
  sought back to its committed offset (``perform_seek``).
- A partition without a committed offset starts at the log's start. A committed offset before the
  log's start means records are lost for good, and the worker stops with ``RecordsLost``.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, cast

from aiokafka.errors import (  # type: ignore[import-untyped]
    ConsumerStoppedError,
    IllegalStateError,
    KafkaError,
)
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import ServiceT

from streamapp.consumer.batches import BatchAbandoned, BatchHandler, Fetched, RecordsLost
from streamapp.consumer.member import Membership
from streamapp.consumer.thread import ANSWER_SECONDS, RETRY_SECONDS, BatchConsumerThread, RebalanceListener

POLL_SECONDS = 0.2
#: How long a rebalance or a stop waits for the batch in flight.
DRAIN_SECONDS = 10.0


class BatchConsumer(driver.Consumer):
    """Faust's consumer, one write and one commit a batch."""

    RebalanceListener: ClassVar[type[driver.ConsumerRebalanceListener]] = RebalanceListener

    def __init__(self, transport: BatchTransport, *args: Any, **kwargs: Any) -> None:
        self.handler = transport.handler
        self._in_flight: asyncio.Task[None] | None = None
        self._must_seek = False
        self._written: dict[TP, int] = {}
        super().__init__(transport, *args, **kwargs)

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def thread(self) -> BatchConsumerThread:
        """The thread that holds aiokafka's consumer."""
        return cast(BatchConsumerThread, self._thread)

    @property
    def keep_trying(self) -> bool:
        """False as soon as a rebalance or a stop asks for the partitions back."""
        return self.flow_active and not self.app.should_stop

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        stopped = (cast(Any, self)._stopped.is_set, cast(Any, fetcher)._stopped.is_set)
        while not any(is_set() for is_set in stopped):
            self.handler.on_poll()
            try:
                await self._turn()
            except ConsumerStoppedError:
                return
            except (KafkaError, TimeoutError) as error:
                if isinstance(error, KafkaError) and not error.retriable:
                    raise
                self.log.warning("the broker does not answer (%s); trying again", type(error).__name__)
                self.handler.on_silence(type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)

    async def _turn(self) -> None:
        if self._must_seek and self.flow_active:
            await self._seek_owned()
        records, _ = await self._wait_next_records(POLL_SECONDS)
        if records:
            await self._take({TP(tp.topic, tp.partition): rows for tp, rows in records.items()})
        if self.keep_trying and not self._must_seek:
            await self._commit_written()
            await self.handler.on_turn(self)

    async def _take(self, fetched: Fetched) -> None:
        if self._must_seek or not self.flow_active or not self._get_active_partitions().issuperset(fetched):
            # Fetched while partitions move: leave it to whoever owns them, and to our own seek.
            self._must_seek = True
            return
        await self._check_gap(fetched)
        self._in_flight = asyncio.ensure_future(self._write_and_commit(fetched))
        try:
            # Shielded: stopping the fetcher cancels this loop, and a batch is finished all the same.
            await asyncio.shield(self._in_flight)
        except BatchAbandoned:
            self._must_seek = True
        except asyncio.CancelledError:
            # Either this loop is being ended, or `wait_empty` gave the batch up, after which the loop goes on.
            loop = asyncio.current_task()
            if not self._in_flight.cancelled() or (loop is not None and loop.cancelling()):
                raise
            self._must_seek = True

    async def _write_and_commit(self, batch: Fetched) -> None:
        await self.handler.write(batch, self)
        for tp, rows in batch.items():
            self._read_offset[tp] = self._written[tp] = rows[-1].offset + 1
        await self._commit_written()

    async def _commit_written(self) -> None:
        """Commit what is written; what the broker does not take now is committed on a later turn."""
        assignment = self.assignment()
        owned = {tp: offset for tp, offset in self._written.items() if tp in assignment}
        if not owned:
            return
        state = self.app.sensors.on_commit_initiated(self)
        try:
            committed = await asyncio.wait_for(self.thread.run_here(self.thread.commit_owned(owned)), ANSWER_SECONDS)
        except TimeoutError:
            self.log.warning("the broker did not take a commit in %s s; trying again", ANSWER_SECONDS)
            return
        self.app.sensors.on_commit_completed(self, state)
        for tp, offset in owned.items():
            if self._written.get(tp) == offset:
                del self._written[tp]
        if committed:
            self._committed_offset.update(owned)
            self.app.monitor.on_tp_commit(owned)

    async def _check_gap(self, batch: Fetched) -> None:
        """A jump over offsets that the log has already dropped is a loss; any other jump is a marker's."""
        expected = {tp: self._read_offset[tp] for tp in batch}
        jumped = {tp for tp, offset in expected.items() if offset is not None and batch[tp][0].offset > offset}
        if jumped:
            for tp, (_, start) in (await self._positions_of(jumped)).items():
                _refuse_lost(tp, cast(int, expected[tp]), start)

    async def perform_seek(self) -> None:
        """Called by Faust after each rebalance; the loop does it, so that a silent broker is retried."""
        self._must_seek = True

    async def _seek_owned(self) -> None:
        """Put every owned partition to its committed offset, or to the log's start where it has none."""
        self._written.clear()
        found = await self._positions_of(self.assignment())
        for tp, (offset, start) in found.items():
            _refuse_lost(tp, offset, start)
            try:
                self.thread.seek(TP(tp.topic, tp.partition), offset)
            except IllegalStateError:
                return  # Partitions are moving again; the rebalance asks for another seek.
        positions = {tp: offset for tp, (offset, _) in found.items()}
        for known in (self._read_offset, self._committed_offset):
            known.clear()
            known.update(positions)
        self._must_seek = False
        await self.handler.on_positions(positions)

    async def _positions_of(self, tps: set[TP]) -> dict[TP, tuple[int, int]]:
        if not tps:
            return {}
        found = await asyncio.wait_for(self.thread.run_here(self.thread.committed_or_start(tps)), ANSWER_SECONDS)
        return cast(dict[TP, tuple[int, int]], found)

    async def end_offsets(self) -> dict[TP, int]:
        """The log's end of every owned partition, asked from the broker now; ``TimeoutError`` without one."""
        tps = self.assignment()
        if not tps:
            return {}
        ends = await asyncio.wait_for(self.thread.run_here(self.thread.end_offsets(tps)), ANSWER_SECONDS)
        return cast(dict[TP, int], ends)

    async def wait_empty(self) -> None:
        """Finish the batch in flight (write and commit), or give it up when that takes too long."""
        task = self._in_flight
        if task is None or task.done():
            return
        done, _ = await asyncio.wait({task}, timeout=DRAIN_SECONDS)
        if not done:
            self.log.warning("the batch in flight did not finish in %s s; it will be read again", DRAIN_SECONDS)
            task.cancel()
            await asyncio.wait({task})

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Faust's timer commits what streams acked; batches commit themselves, so there is nothing."""
        return False

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's check looks for stream events, which do not exist here; ``health`` watches instead."""


def _refuse_lost(tp: TP, offset: int, start: int) -> None:
    if offset < start:
        raise RecordsLost(
            f"{tp.topic}/{tp.partition}: the log starts at {start}, and reading should go on from {offset}: "
            f"{start - offset} records are gone. Rebuild the environment with a new cutover."
        )


class BatchTransport(driver.Transport):
    """Faust's aiokafka transport with ``BatchConsumer``; the app gives the handler and the membership."""

    Consumer: ClassVar[type[BatchConsumer]] = BatchConsumer
    handler: BatchHandler
    membership: Membership
