"""Samples: what environments measured over time, for as long as the server watches. In memory, the oldest go first.

Owns: one series an environment. Must not: judge a value; the gates do.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Any

KEPT = 1080
"""How many are kept of each environment: three hours at one every ten seconds."""

NAMES = ("lag_records", "freshness_s")


class Samples:
    """The series of all environments; safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series: dict[str, deque[tuple[str, Mapping[str, float]]]] = {}

    def add(self, environment: str, at: datetime, measured: Mapping[str, float]) -> None:
        """Keep what was measured; what was not is a gap, never zero."""
        kept = {name: round(float(measured[name]), 3) for name in NAMES if name in measured}
        with self._lock:
            self._series.setdefault(environment, deque(maxlen=KEPT)).append((at.isoformat(timespec="seconds"), kept))

    def of(self, environment: str, most: int = 180) -> list[dict[str, Any]]:
        """[{at, lag_records, freshness_s}], oldest first; of many, the worst of each stretch, so that none is lost."""
        with self._lock:
            found = list(self._series.get(environment, ()))
        width = -(-len(found) // most) or 1
        return [_worst(found[start:start + width]) for start in range(0, len(found), width)]


def _worst(stretch: list[tuple[str, Mapping[str, float]]]) -> dict[str, Any]:
    seen = {name: [values[name] for _, values in stretch if name in values] for name in NAMES}
    return {"at": stretch[-1][0], **{name: max(values) if values else None for name, values in seen.items()}}
