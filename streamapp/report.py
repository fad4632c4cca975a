"""The one voice of a job: JSON lines on stdout, each written whole and at once.

Owns the lines' shapes (progress, check, result, error). Must not be given a secret or a payload.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import msgspec


class JobError(Exception):
    """What a job's user can understand and mend; becomes the error line and exit code 1."""

    def __init__(self, code: str, summary: str, detail: str = "") -> None:
        super().__init__(f"{code}: {summary}")
        self.code = code
        self.summary = summary
        self.detail = detail


def progress(done: int, total: int | None, unit: str = "rows", eta_s: float | None = None, note: str = "") -> None:
    emit("progress", {"done": done, "total": total, "unit": unit, "eta_s": eta_s, "note": note})


def result(numbers: Mapping[str, Any]) -> None:
    emit("result", numbers)


def error(problem: JobError) -> None:
    emit("error", {"code": problem.code, "summary": problem.summary, "detail": problem.detail})


def emit(event: str, values: Mapping[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode({"event": event, **values}).decode() + "\n")
    sys.stdout.flush()
