"""What was last applied, step by step, kept on this machine beside the pending operations.

Must not: know what the values mean.
"""

from __future__ import annotations

from pathlib import Path

from engine.model.value import Attributes
from engine.providers.local.files import read_json, write_json


class AppliedRecords:
    """One file a step."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, step: str) -> Attributes | None:
        """What was kept, or None."""
        return read_json(self._folder / f"{step}.json")

    def put(self, step: str, values: Attributes) -> None:
        """Keep it."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_json(self._folder / f"{step}.json", dict(values))

    def drop(self, step: str) -> None:
        """Forget it; nothing kept is no error."""
        (self._folder / f"{step}.json").unlink(missing_ok=True)
