"""Whether the consumer lives and whether it is ready, and the watchdog behind the answer.

Owns: the times of the last turns and answers, ``/healthz`` and ``/readyz`` as plain data, and the
thread that ends a process which no longer gets on. Must not: read the database or the broker.

Alive means that the loop turns. A database or a broker that is away keeps the loop turning (it
retries), so the process stays alive and is only not ready. A loop that stands still, or records
that wait on the broker while none arrives, is what a restart mends.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

#: Without a turn of the loop for so long the process is not healthy; after half as much again it exits.
STALL_SECONDS = 120.0
EXIT_STALLED = 70


@dataclass
class Health:
    """Facts as the loop reports them; times are ``time.monotonic()`` seconds."""

    stall_seconds: float = STALL_SECONDS
    last_turn: float = field(default_factory=time.monotonic)
    last_advance: float = field(default_factory=time.monotonic)
    joined: bool = False
    partitions: int = 0
    database_fault: str | None = "not connected yet"
    broker_fault: str | None = None

    def turned(self) -> None:
        """The loop went round, or a retry was made."""
        self.last_turn = time.monotonic()

    def advanced(self) -> None:
        """Records were written, or there was nothing to read, or the fault lies outside this process."""
        self.last_advance = time.monotonic()

    def stalled_seconds(self) -> float:
        """How long the process has not got on, by the worse of the two clocks."""
        return time.monotonic() - min(self.last_turn, self.last_advance)

    def healthy(self) -> bool:
        """What ``/healthz`` answers."""
        return self.stalled_seconds() < self.stall_seconds

    def not_ready(self) -> list[str]:
        """Why ``/readyz`` answers 503; empty when ready. A group member without partitions is ready."""
        reasons = [] if self.joined else ["not a member of the consumer group yet"]
        if self.database_fault:
            reasons.append(f"database: {self.database_fault}")
        if self.broker_fault:
            reasons.append(f"broker: {self.broker_fault}")
        if not self.healthy():
            reasons.append(f"no progress for {self.stalled_seconds():.0f} s")
        return reasons


def start_watchdog(health: Health) -> threading.Thread:
    """End the process once it has stalled for 1.5 times the limit; the supervisor starts it again.

    A thread, since the loop it watches may be what hangs. Ending hard is safe: nothing is committed
    before it is written.
    """

    def watch() -> None:
        while health.stalled_seconds() < health.stall_seconds * 1.5:
            time.sleep(min(1.0, health.stall_seconds / 10))
        log.critical("no progress for %.0f s; exiting to be restarted", health.stalled_seconds())
        logging.shutdown()
        os._exit(EXIT_STALLED)

    thread = threading.Thread(target=watch, name="watchdog", daemon=True)
    thread.start()
    return thread
