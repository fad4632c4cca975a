"""Runs one of the service's jobs as a process of its own, the way an environment does, and reads its lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finished:
    """A job's end: exit code and its JSON lines."""

    code: int
    lines: list[dict[str, Any]]
    log: str

    @property
    def last(self) -> dict[str, Any]:
        return self.lines[-1] if self.lines else {}


def start(job: str, env: Mapping[str, str], name: str, spec: Mapping[str, Any]) -> subprocess.Popen[str]:
    """Starts `python -m streamapp JOB` with its spec in the variable `name`."""
    return subprocess.Popen(
        [sys.executable, "-m", "streamapp", job],
        env={**os.environ, **env, name: json.dumps(spec)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> Finished:
    out, log = process.communicate(timeout=120)
    return Finished(process.returncode, [json.loads(line) for line in out.splitlines()], log)


def run(job: str, env: Mapping[str, str], name: str, spec: Mapping[str, Any]) -> Finished:
    return finish(start(job, env, name, spec))
