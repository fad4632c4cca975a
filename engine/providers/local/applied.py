"""What was last applied, kept beside the resources in the environment's folder; gone with it.

Must not: know what the values mean.
"""

from __future__ import annotations

from engine.model.value import Attributes
from engine.providers.local.home import Home

_KIND = "applied"


class AppliedRecords:
    """One record a step."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def get(self, step: str) -> Attributes | None:
        """What was kept, or None."""
        return self._home.record(_KIND, step)

    def put(self, step: str, values: Attributes) -> None:
        """Keep it; an environment that is gone keeps nothing."""
        if self._home.group() is not None:
            self._home.save_record(_KIND, step, values)

    def drop(self, step: str) -> None:
        """Forget it; nothing kept is no error."""
        self._home.drop_record(_KIND, step)
