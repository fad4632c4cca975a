"""Journal: what an apply did, for resuming and for audit. No plan is ever decided from it.

One JSON object a line, appended and synced to the disk before the next thing happens. A torn last line, left by a power
cut or a kill, is passed over when reading.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.model.address import Address
from engine.model.codec import encode
from engine.model.event import ApplyStarted, Event, Finish, StepProgress


@dataclass(frozen=True, slots=True)
class Past:
    """What the journal says of one plan: which steps its runs started, and whether one of them succeeded."""

    started: frozenset[Address]
    succeeded: bool


class Journal:
    """The journal of one environment."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, event: Event) -> None:
        """Write an event through to the disk; progress is not kept."""
        if isinstance(event, StepProgress):
            return
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        line = json.dumps({"event": type(event).__name__, **encode(event)}, ensure_ascii=False) + "\n"
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if (size := os.fstat(descriptor).st_size) and os.pread(descriptor, 1, size - 1) != b"\n":
                line = "\n" + line  # End a torn line, so that it spoils itself alone.
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def entries(self) -> Iterator[Mapping[str, Any]]:
        """All whole lines, oldest first."""
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry

    def past(self, plan: str) -> Past:
        """What runs of the plan `plan` did."""
        started: set[Address] = set()
        succeeded, ours = False, False
        for entry in self.entries():
            match entry.get("event"):
                case ApplyStarted.__name__:
                    ours = entry.get("plan") == plan
                case "StepStarted" if ours:
                    started.add(Address.parse(entry["address"]))
                case "ApplyFinished" if ours:
                    succeeded = succeeded or entry.get("finish") == Finish.SUCCEEDED.value
                case _:
                    pass
        return Past(frozenset(started), succeeded)
