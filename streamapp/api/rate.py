"""How often somebody may ask: a token bucket for every actor, and one for all who are nobody.

Owns the buckets. Must not: know HTTP or a credential. A bucket is this process's own: with two replicas
an actor has twice the rate.
"""

from __future__ import annotations

NOBODY = "-"


class Rate:
    """``per_s`` calls a second on average, ``burst`` at once. The number of actors bounds the memory."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, actor: str, now: float) -> float:
        """0 where the call may go on; else the seconds until one may. ``now`` is of a monotonic clock."""
        tokens, at = self._buckets.get(actor, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._per_s)
        if tokens < 1:
            self._buckets[actor] = (tokens, now)
            return (1 - tokens) / self._per_s
        self._buckets[actor] = (tokens - 1, now)
        return 0.0
