"""Time: operations take their real durations times a scale."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime


class Clock:
    """`scale` is seconds here for a second in Azure."""

    def __init__(self, scale: float = 0.001) -> None:
        self.scale = scale

    def now(self) -> float:
        return time.monotonic()

    def due(self, seconds: float) -> float:
        """When something that takes `seconds` in Azure is over."""
        return self.now() + seconds * self.scale

    def retry_after(self, seconds: float) -> dict[str, str]:
        """The header as the service sends it, and the scaled one, which the SDK prefers."""
        return {"Retry-After": str(math.ceil(seconds)),
                "x-ms-retry-after-ms": str(max(1, round(seconds * 1000 * self.scale)))}


def stamp() -> str:
    """Now, as the services write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
