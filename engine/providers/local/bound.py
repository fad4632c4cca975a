"""Starts child processes that die with this one.

Owns: the start of jobs and of servers' own tools through `launch`, so that a killed txplan leaves none of them behind
and no secret is ever an argument. Must not: wait for them or read their output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from engine.providers.local import launch

# What a program needs of the user's own environment; all else stays out, for it may hold the user's secrets.
_BASE_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH", "JAVA_HOME")


def base_environment() -> dict[str, str]:
    """The part of the user's environment that every process of an environment starts with."""
    return {name: os.environ[name] for name in _BASE_VARIABLES if name in os.environ}


def start(command: Sequence[str], *, directory: Path, environment: Mapping[str, str], output: IO[Any] | int,
          errors: IO[Any] | int, user: str | None = None, text: str = "") -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, with `text` as its standard input. On Linux it is killed when the
    calling thread's process dies."""
    description = {"command": list(command), "environment": dict(environment), "directory": str(directory),
                   "user": user, "parent": os.getpid(), "input": text}
    child = subprocess.Popen([sys.executable, "-I", "-S", str(launch.__file__), "-"], env=base_environment(),
                             stdin=subprocess.PIPE, stdout=output, stderr=errors, start_new_session=True)
    assert child.stdin is not None
    with child.stdin:
        child.stdin.write(json.dumps(description).encode())
    return child


def run(command: Sequence[str], *, directory: Path, environment: Mapping[str, str], user: str | None = None,
        text: str = "", timeout_s: float = 120.0) -> tuple[int, str]:
    """Run a tool to its end: (exit code, what it wrote, at most the last 2,000 characters)."""
    child = start(command, directory=directory, environment=environment, output=subprocess.PIPE,
                  errors=subprocess.STDOUT, user=user, text=text)
    child.stdin = None
    try:
        output, _ = child.communicate(timeout=timeout_s)
    except BaseException:
        child.kill()
        child.wait()
        raise
    return child.returncode, output.decode(errors="replace").strip()[-2000:]
