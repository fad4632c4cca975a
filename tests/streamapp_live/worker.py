"""The service's processes as the tests start them: real ones, with their own environment and log.

Owns the processes it started and the questions to their web pages.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tests.support.postgres import free_port


def until(what: Callable[[], Any], seconds: float = 60.0, every: float = 0.05) -> Any:
    """Wait until `what` answers something true; the answer. Fails loudly after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(every)


class Process:
    """`python -m streamapp JOB` with a web port of its own."""

    def __init__(self, job: str, env: Mapping[str, str], folder: Path, like: Process | None = None) -> None:
        self.port = like.port if like else free_port()
        self.state = like.state if like else Path(tempfile.mkdtemp(prefix=f"{job}-", dir=folder))
        self.log = self.state / "log"
        own = {"WEB_PORT": str(self.port), "STREAM_STATE_DIR": str(self.state / "faust"), "APP_REVISION": "test"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streamapp", job],
                env={"PATH": os.environ["PATH"], **env, **own},
                cwd=Path(__file__).resolve().parents[2],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """Status and body; status 0 while nothing answers."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read()
        except OSError:
            return 0, b""

    def json(self, path: str, **headers: str) -> Any:
        return msgspec.json.decode(self.get(path, **headers)[1])

    def ready(self, seconds: float = 60.0) -> Process:
        until(lambda: self.get("/readyz")[0] == 200 or self._alive(), seconds)
        return self

    def _alive(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-4000:]
        return False

    def samples(self, name: str) -> dict[str, float]:
        """Samples of one metric, by their label text."""
        found = {}
        for line in self.get("/metrics")[1].decode().splitlines():
            if line.startswith((f"{name}{{", f"{name} ")):
                series, _, value = line.rpartition(" ")
                found[series[len(name) :]] = float(value)
        return found

    def terminate(self, seconds: float = 40.0) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
