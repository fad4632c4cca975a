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
        """The header that a service sends for `seconds`; a fraction where time is scaled, which the SDK takes too."""
        return {"Retry-After": f"{seconds * self.scale:.3f}" if self.scale < 1 else str(math.ceil(seconds))}


def stamp() -> str:
    """Now, as the services write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
