"""Journal: what an apply did, for resuming and for audit. No plan is ever decided from it.

One JSON object a line, appended and synced to the disk before the next thing happens; what happened at once is synced
at once. A torn last line, left by a power
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
from engine.model.event import ApplyFinished, ApplyStarted, Event, Finish, StepProgress


@dataclass(frozen=True, slots=True)
class Past:
    """What the journal says of one plan: which steps its runs started, and whether one of them succeeded."""

    started: frozenset[Address]
    succeeded: bool


@dataclass(frozen=True, slots=True)
class Run:
    """One apply as the journal has it. `finish` is empty where it never said its end: it was killed, or still runs."""

    run: str
    plan: str
    at: str
    finish: str
    seconds: float | None
    succeeded: int
    failed: int
    skipped: int
    events: tuple[Mapping[str, Any], ...]


class Journal:
    """The journal of one environment."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, *events: Event) -> None:
        """Write events through to the disk, all with one sync; progress is not kept."""
        lines = "".join(json.dumps({"event": type(event).__name__, **encode(event)}, ensure_ascii=False) + "\n"
                        for event in events if not isinstance(event, StepProgress))
        if not lines:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = not self._path.exists()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if (size := os.fstat(descriptor).st_size) and os.pread(descriptor, 1, size - 1) != b"\n":
                lines = "\n" + lines  # End a torn line, so that it spoils itself alone.
            _write_all(descriptor, lines.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            self._keep_name()

    def _keep_name(self) -> None:
        """See that a new file's name outlives a power cut too, and not its content alone."""
        descriptor = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def entries(self) -> Iterator[Mapping[str, Any]]:
        """All whole lines, oldest first."""
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        for line in text.split("\n"):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry

    def torn(self) -> int:
        """How many lines are torn: what a kill or a power cut interrupted."""
        try:
            lines = [line for line in self._path.read_text(encoding="utf-8", errors="replace").split("\n") if line]
        except FileNotFoundError:
            return 0
        return len(lines) - sum(1 for _ in self.entries())

    def runs(self) -> list[Run]:
        """All applies, oldest first."""
        grouped: list[list[Mapping[str, Any]]] = []
        for entry in self.entries():
            if entry.get("event") == ApplyStarted.__name__:
                grouped.append([])
            if grouped:
                grouped[-1].append(entry)
        return [_run(events) for events in grouped]

    def past(self, plan: str) -> Past:
        """What runs of the plan `plan` did."""
        started: set[Address] = set()
        succeeded, ours = False, False
        for entry in self.entries():
            match entry.get("event"):
                case ApplyStarted.__name__:
                    ours = entry.get("plan") == plan
                    if not ours:
                        # Another plan has been at work since: what this one started is no longer its own doing.
                        started.clear()
                case "StepStarted" if ours:
                    started.add(Address.parse(entry["address"]))
                case "ApplyFinished" if ours:
                    succeeded = succeeded or entry.get("finish") == Finish.SUCCEEDED.value
                case _:
                    pass
        return Past(frozenset(started), succeeded)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data):]


def _run(events: list[Mapping[str, Any]]) -> Run:
    first, last = events[0], events[-1]
    ended = last.get("event") == ApplyFinished.__name__

    def count(event: str) -> int:
        return sum(e.get("event") == event for e in events)

    return Run(str(first.get("run", "")), str(first.get("plan", "")), str(first.get("at", "")),
               str(last.get("finish", "")) if ended else "", last.get("seconds") if ended else None,
               count("StepSucceeded"), count("StepFailed"), count("StepSkipped"), tuple(events))
