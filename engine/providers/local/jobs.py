"""Jobs: processes that run to their end as children of txplan.

Owns: starting, hearing and stopping them. Must not: know what a job does, or leave one running: it dies with txplan,
and what a killed txplan left of the same job is ended first.
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

import psutil

from engine.providers.base import JobSpec
from engine.providers.local import bound, strays
from engine.providers.local.home import Home

_STOP_S = 60.0
JOB = "TXPLAN_JOB"
"""The environment variable with the name of the job that a process belongs to."""

_LAST_WORDS_S = 5.0

_RUN = "TXPLAN_JOB_RUN"
"""The environment variable with the run of that job: the pid of its txplan, a dash, and a random part."""

OnEvent = Callable[[Mapping[str, Any]], None]


class Jobs:
    """A JobRunner."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def run(self, job: JobSpec, on_event: OnEvent, cancelled: Callable[[], bool]) -> int:
        """Run to the end; JSON objects on its standard output go to `on_event`, the rest to `logs/jobs/<name>.log`.
        Returns the exit code, a negative signal number where it was killed; cancelled: SIGTERM, a minute, SIGKILL."""
        instance, run = self._home.instance, f"{os.getpid()}-{secrets.token_hex(8)}"
        strays.end(_left_behind(strays.find(instance, **{JOB: job.name})))
        environment = {**job.environment, **job.secrets, strays.INSTANCE: instance, JOB: job.name, _RUN: run,
                       "PYTHONUNBUFFERED": "1"}
        with (self._home.folder("logs", "jobs") / f"{job.name}.log").open("ab") as log:
            child = bound.start(job.command, directory=self._home.folder("jobs", job.name), environment=environment,
                                output=subprocess.PIPE, errors=log)
            try:
                return _attend(child, log, on_event, cancelled)
            finally:
                _end(child)
                # A job's own children go with it.
                strays.end(strays.find(instance, **{_RUN: run}))


def _left_behind(processes: Sequence[psutil.Process]) -> Sequence[psutil.Process]:
    """Those of runs whose txplan is gone, which else would be the parent of the run's first process. Some jobs, such as
    feeds, may run twice at once."""
    found = {}
    for process in processes:
        with suppress(psutil.Error, OSError):
            found[process] = (process.environ().get(_RUN, ""), process.ppid())
    living = {run for run, parent in found.values() if run.startswith(f"{parent}-")}
    return [process for process, (run, _) in found.items() if run not in living]


def _attend(child: subprocess.Popen[bytes], log: IO[bytes], on_event: OnEvent, cancelled: Callable[[], bool]) -> int:
    assert child.stdout is not None
    lines: queue.Queue[bytes | None] = queue.Queue(maxsize=1000)
    threading.Thread(target=_pump, args=(child.stdout, lines), daemon=True).start()
    kill_at: float | None = None
    hear_until: float | None = None
    hearing = True
    # Its end is what counts, not that of its output, which a child of its own may hold open; its last words are waited
    # for all the same, since on a busy machine they come after its end.
    while hearing or child.poll() is None:
        try:
            line = lines.get(timeout=0.1)
        except queue.Empty:
            if hear_until is None and child.poll() is not None:
                hear_until = time.monotonic() + _LAST_WORDS_S
            hearing = hearing and (hear_until is None or time.monotonic() < hear_until)
            line = b""
        if line is None:
            hearing = False
        elif line:
            _deliver(line, log, on_event)
        if kill_at is None and cancelled():
            child.send_signal(signal.SIGTERM)
            kill_at = time.monotonic() + _STOP_S
        elif kill_at is not None and time.monotonic() > kill_at:
            child.kill()
    return child.wait()


def _pump(stream: IO[bytes], lines: queue.Queue[bytes | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _deliver(line: bytes, log: IO[bytes], on_event: OnEvent) -> None:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if isinstance(event, dict):
        on_event(event)
    else:
        log.write(line)
        log.flush()


def _end(child: subprocess.Popen[bytes]) -> None:
    """Whatever happened here, the job does not outlive it."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
