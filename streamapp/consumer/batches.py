"""What the two sides of the consumer say to each other: batches, questions, and reasons to stop.

Owns: the protocols and the faults. ``transport`` is one side (Kafka, by Faust), ``writer`` the other
(the database). Must not: do anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from faust.types import TP

#: A batch as the consumer took it: partition -> its records in offset order (aiokafka's ConsumerRecord).
Fetched = Mapping[TP, list[Any]]


class RecordsLost(Exception):
    """The log no longer holds the offset to go on from; only a rebuild (new cutover) mends this."""


class BatchAbandoned(Exception):
    """The handler gave a batch up unwritten, because its partitions are being taken away."""


class Owner(Protocol):
    """What the database side may ask of the consumer."""

    @property
    def keep_trying(self) -> bool:
        """False as soon as a rebalance or a stop asks for the partitions back."""

    async def end_offsets(self) -> dict[TP, int]:
        """The log's end of every owned partition; ``TimeoutError`` where no broker answers."""


class BatchHandler(Protocol):
    """What the transport asks of the database side. Offsets are the next to read, as Kafka commits them."""

    async def write(self, batch: Fetched, owner: Owner) -> None:
        """Write a batch durably or raise; ``BatchAbandoned`` once ``owner.keep_trying`` is false."""

    def on_poll(self) -> None:
        """Called on each turn of the loop, also when nothing came."""

    def on_silence(self, fault: str) -> None:
        """Called instead of ``on_turn`` while the broker does not answer."""

    async def on_turn(self, owner: Owner) -> None:
        """Called between batches; the place for the heartbeat."""

    async def on_positions(self, positions: Mapping[TP, int]) -> None:
        """The owned partitions and where each goes on; called after every rebalance."""
