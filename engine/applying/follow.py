"""Follows a journal while an apply writes it: only what is new is read each time.

Owns: the runs in short, and how each step of the newest run stands. Must not: write, or judge whether a run that never
said its end still runs; the lock says that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class StepLine:
    """How a step of a run stands. `state` is running, done, failed, stopped or skipped; `began` an ISO time."""

    state: str
    action: str = ""
    began: str = ""
    seconds: float | None = None
    blocked_by: str | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    diagnostic: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class RunLine:
    """One run in short. `finish` is empty while it has not said its end; `steps` is how many it had to do."""

    run: str
    plan: str
    at: str
    steps: int
    finish: str = ""
    seconds: float | None = None
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0


class Follower:
    """The journal of one environment, as far as it was read. Not for two threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin()

    def _begin(self) -> None:
        self._file: tuple[int, int] | None = None
        self._offset = 0
        self.version = 0
        """Grows with each line that was read; from nothing again where the file is another one."""
        self.runs: list[RunLine] = []
        self.steps: dict[str, StepLine] = {}
        """The steps of the newest run, by address."""

    def read(self) -> None:
        """Take in what was appended; a last line that is not whole yet is left for the next time."""
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                if self._file != (found.st_dev, found.st_ino) or found.st_size < self._offset:
                    self._begin()
                    self._file = found.st_dev, found.st_ino
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            self._begin()
            return
        whole = data[:data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:  # What a kill or a power cut left half written.
                continue
            if isinstance(entry, dict):
                self._take(entry)

    def _take(self, entry: Mapping[str, Any]) -> None:
        event, self.version = entry.get("event"), self.version + 1
        if event == "ApplyStarted":
            self.steps = {}
            self.runs.append(RunLine(str(entry.get("run", "")), str(entry.get("plan", "")), str(entry.get("at", "")),
                                     int(entry.get("steps") or 0)))
            return
        if not self.runs:
            return
        run, address = self.runs[-1], str(entry.get("address", ""))
        at, seconds = str(entry.get("at", "")), entry.get("seconds")
        if event == "ApplyFinished":
            run.finish, run.seconds = str(entry.get("finish", "")), seconds
        elif event == "StepStarted":
            self.steps[address] = StepLine("running", str(entry.get("action", "")), at)
        elif event == "StepSucceeded":
            run.succeeded += 1
            step = self.steps.setdefault(address, StepLine("done", str(entry.get("action", ""))))
            step.state, step.seconds, step.result = "done", seconds, entry.get("result") or {}
        elif event == "StepFailed":
            run.failed += 1
            step = self.steps.setdefault(address, StepLine("failed", str(entry.get("action", ""))))
            step.state, step.seconds = "stopped" if entry.get("interrupted") else "failed", seconds
            step.diagnostic = entry.get("diagnostic") or {}
        elif event == "StepSkipped":
            run.skipped += 1
            self.steps[address] = StepLine("skipped", blocked_by=entry.get("blocked_by"))
