"""Apps as supervised processes: replicas, revisions, readiness, logs.

Owns: which programs make up an app, and its record. Must not: know what an app does. The record says `deploying` until
all replicas run, so that an interrupted deploy shows as another revision and the next deploy mends it.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.model.diagnostic import Refused, error
from engine.providers.base import AppSpec, AppState, Context, Progress
from engine.providers.local import web
from engine.providers.local.home import Home
from engine.providers.local.processes import Processes, Program

_KIND = "app"
_SERVES_S = 60.0
_SILENT_S = 5.0


class Apps:
    """An AppHost: replica n of an app is the program `<app>-<n>`."""

    def __init__(self, home: Home, processes: Processes) -> None:
        self._home, self._processes = home, processes

    def describe(self, name: str) -> AppState | None:
        """The app as it is deployed, or None."""
        record = self._home.record(_KIND, name)
        if record is None:
            return None
        replicas = int(record["replicas"])
        alive = {status.name for status in self._processes.statuses() if status.running}
        return AppState(
            name, record["revision"], replicas, sum(_program(name, n) in alive for n in range(replicas)),
            [f"http://127.0.0.1:{self._home.port(_port_key(name, n))}" for n in range(replicas)],
            record["environment"])

    def deploy(self, app: AppSpec, context: Context) -> AppState:
        """Run exactly this revision with this many replicas, one after the other."""
        self._home.save_record(_KIND, app.name, _record(app, f"deploying:{app.revision}"))
        self._drop_replicas(app.name, keep=app.replicas)
        for replica in range(app.replicas):
            context.emit(Progress(replica, app.replicas, "replicas"))
            if replica:
                self._hand_over(app.name, replica - 1, replica, context)
            self._run(app, replica, context)
        self._home.save_record(_KIND, app.name, _record(app, app.revision))
        state = self.describe(app.name)
        assert state is not None
        return state

    def _hand_over(self, app: str, before: int, after: int, context: Context) -> None:
        """Wait until the replica that was just restarted serves, where the next one does: between them somebody
        answers at any moment. Refused where it does not come to serve; the next one is then left as it is."""
        status = self._processes.status(_program(app, after))
        if status is None or not status.running:
            return
        now = time.monotonic()
        until, seen = now + _SERVES_S, now
        while not self._serves(app, before):
            now = time.monotonic()
            if self._serves(app, after):
                seen = now
            elif now - seen > _SILENT_S:
                return  # There is nothing to protect: it does not serve either.
            if now > until or context.cancelled():
                raise Refused([error(
                    "replica-not-ready", f"{_program(app, before)} does not serve after its restart",
                    f"{_program(app, after)} was left as it is",
                    f"read its log, mend it, and apply again: txplan logs ENV {app}")])
            time.sleep(0.1)

    def _serves(self, app: str, replica: int) -> bool:
        answer = web.get(self._home.port(_port_key(app, replica)), "/readyz")
        return answer is not None and answer[0] == 200

    def _run(self, app: AppSpec, replica: int, context: Context) -> None:
        name = _program(app.name, replica)
        status = self._processes.status(name)
        if status is None or not status.running:
            self._processes.stop(name)
            _, former = self._home.free_port(_port_key(app.name, replica))
            if former is not None:
                context.emit(Progress(note=f"port {former} is taken by another process; another is chosen"))
        port = self._home.port(_port_key(app.name, replica))
        own = {"WEB_HOST": "127.0.0.1", "WEB_PORT": str(port), "REPLICA": str(replica), "PYTHONUNBUFFERED": "1"}
        self._processes.ensure(Program(
            name, app.command, self._home.folder("apps", name), {**app.environment, **own}, app.secrets,
            stop_seconds=app.stop_seconds, priority=900))

    def ready(self, name: str) -> str | None:
        """None where every replica answers 200 on /readyz; else what it waits for."""
        state = self.describe(name)
        if state is None:
            return "the app to be deployed"
        for replica in range(state.replicas):
            answer = web.get(self._home.port(_port_key(name, replica)), "/readyz")
            if answer is None:
                return f"{_program(name, replica)} to answer"
            if answer[0] != 200:
                return f"{_program(name, replica)}: {' '.join(answer[1].split())[:200] or answer[0]}"
        return None

    def remove(self, name: str, context: Context) -> None:
        """Stop it and forget it; none is no error."""
        if self._home.record(_KIND, name) is not None:
            self._drop_replicas(name, keep=0)
            self._home.drop_record(_KIND, name)

    def names(self) -> Sequence[str]:
        """All deployed apps, sorted."""
        return self._home.records(_KIND)

    def logs(self, name: str, *, follow: bool, lines: int) -> Iterator[str]:
        """The last `lines` lines of each replica, then, where asked, what is added. Each begins `<app>-<n> | `."""
        tails = {source: _Tail(path) for source, path in self._logs(name).items()}
        for program, tail in tails.items():
            yield from (f"{program} | {line}" for line in deque(tail.read(), maxlen=lines))
        while follow and self._home.group() is not None:
            for program, tail in tails.items():
                yield from (f"{program} | {line}" for line in tail.read())
            time.sleep(0.3)

    def log_names(self) -> Sequence[str]:
        """Apps, the other programs under the same supervisor, and jobs that ran; sorted."""
        apps = self.names()
        others = [p for p in self._processes.names() if p.rpartition("-")[0] not in apps]
        return sorted({*apps, *others, *(path.stem for path in self._job_logs())})

    def _logs(self, name: str) -> dict[str, Path]:
        record = self._home.record(_KIND, name)
        if record is not None:
            return {_program(name, n): self._processes.log(_program(name, n)) for n in range(int(record["replicas"]))}
        jobs = {path.stem: path for path in self._job_logs()}
        return {name: jobs.get(name) or self._processes.log(name)}

    def _job_logs(self) -> list[Path]:
        return sorted((self._home.path / "logs" / "jobs").glob("*.log"))

    def _drop_replicas(self, name: str, *, keep: int) -> None:
        for program in self._processes.names():
            app, _, number = program.rpartition("-")
            if app == name and number.isdigit() and int(number) >= keep:
                self._processes.remove(program)
                self._home.drop_port(_port_key(name, int(number)))


class _Tail:
    """Reads a growing log file by whole lines; begins anew when it was rotated."""

    def __init__(self, path: Path) -> None:
        self._path, self._inode, self._offset = path, 0, 0

    def read(self) -> Iterator[str]:
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        with file:
            now = os.fstat(file.fileno())
            if now.st_ino != self._inode or now.st_size < self._offset:
                self._inode, self._offset = now.st_ino, 0
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                yield line.decode(errors="replace").rstrip("\n")


def _program(app: str, replica: int) -> str:
    return f"{app}-{replica}"


def _port_key(app: str, replica: int) -> str:
    return f"app/{app}/{replica}"


def _record(app: AppSpec, revision: str) -> Mapping[str, Any]:
    return {"name": app.name, "revision": revision, "replicas": app.replicas, "environment": dict(app.environment)}
