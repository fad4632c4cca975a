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
        """The header that a service sends for `seconds`. Where time is scaled it is the one in milliseconds, which the
        SDK reads as well: Retry-After is in whole seconds."""
        if self.scale >= 1:
            return {"Retry-After": str(math.ceil(seconds * self.scale))}
        return {"x-ms-retry-after-ms": str(max(1, round(seconds * 1000 * self.scale)))}


def stamp() -> str:
    """Now, as the services write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
