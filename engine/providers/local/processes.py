"""The supervised programs of one environment.

Owns: what runs under the environment's supervisor, and bringing that to what is asked for. Must not: know what a
program is for. Programs with their secrets are private files (0600) that `launch` reads at each start.
"""

from __future__ import annotations

import time
import xmlrpc.client
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.model.diagnostic import Refused, error
from engine.model.value import digest
from engine.providers.local import strays
from engine.providers.local.files import locked, read_json, write_json
from engine.providers.local.home import Home
from engine.providers.local.supervisor import Supervisor, Unavailable, launch_command

_STOPPED_STATES = frozenset({"STOPPED", "EXITED", "FATAL"})
_SETTLE_S = 30.0
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Program:
    """A long-running program. `secrets` are added to its environment; `user` None is the user who runs txplan;
    `priority`: lower starts earlier and stops later."""

    name: str
    command: Sequence[str]
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(repr=False, default_factory=dict)
    user: str | None = None
    stop_signal: str = "TERM"
    stop_seconds: int = 30
    priority: int = 500


@dataclass(frozen=True, slots=True)
class ProgramStatus:
    """A program as the supervisor sees it; `state` is supervisor's word, or `DOWN` where there is no supervisor; `pid`
    is that of a live process."""

    name: str
    state: str
    pid: int | None
    detail: str = ""

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self.pid is not None


class Processes:
    """Thread-safe: every change of the set of programs is made under a file lock."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.supervisor = Supervisor(home)

    def start(self) -> bool:
        """Start the supervisor where it is down, with all programs that were ensured before; says whether it was."""
        self._home.folder()
        with locked(self._home.path / ".processes.lock"):
            return self.supervisor.start(self._options())

    def stop_all(self) -> None:
        """End every process of the environment."""
        self._home.folder()
        with locked(self._home.path / ".processes.lock"):
            self.supervisor.stop()

    def alive(self) -> bool:
        """Whether the supervisor is up."""
        return self.supervisor.alive()

    def ensure(self, program: Program) -> bool:
        """Run exactly this program; waits until it has lived for a second. A changed one is restarted, an unchanged
        one that runs is left alone. Says whether anything was done; Refused where it does not stay up."""
        restarted = self.start()
        content = {
            "command": list(program.command), "directory": str(program.directory), "user": program.user,
            "parent": None, "environment": {**program.environment, **program.secrets,
                                            strays.INSTANCE: self._home.instance, strays.PROGRAM: program.name}}
        options = {"stopsignal": program.stop_signal, "stopwaitsecs": program.stop_seconds,
                   "priority": program.priority}
        self._home.folder("programs")
        with self._changing():
            write_json(self._file(program.name), content | {"options": options})
        # The supervisor compares its file with what runs, so a change is seen also after a crash in between.
        [[_, changed, _]] = self._call("reloadConfig")
        if program.name in changed:
            self.stop(program.name)
            self._call("removeProcessGroup", program.name)
        added = self._call("addProcessGroup", program.name, but="ALREADY_ADDED")
        return self._settle(program.name) or bool(added) or restarted

    def stop(self, name: str) -> None:
        """Stop a program until it is started again; one that does not run is no error."""
        program = self.program(name)
        if program is None:
            return
        try:
            self.supervisor.call("stopProcess", name, timeout_s=program["options"]["stopwaitsecs"] + 15.0)
        except xmlrpc.client.Fault:
            return  # It does not run.
        except Unavailable:
            strays.end(strays.find(self._home.instance, **{strays.PROGRAM: name}))

    def restart(self, name: str) -> None:
        """Stop and start a program; Refused where it does not stay up."""
        self.start()
        self.stop(name)
        self._settle(name)

    def remove(self, name: str) -> None:
        """Stop a program and forget it; none is no error."""
        if self.program(name) is None:
            return
        self.stop(name)
        with self._changing():
            self._file(name).unlink(missing_ok=True)
        with suppress(xmlrpc.client.Fault, Unavailable):
            self.supervisor.call("reloadConfig")
            self.supervisor.call("removeProcessGroup", name)

    def status(self, name: str) -> ProgramStatus | None:
        """The program's status; None where there is no such program."""
        return next((status for status in self.statuses() if status.name == name), None)

    def statuses(self) -> Sequence[ProgramStatus]:
        """The status of all programs, sorted by name. Reads only; a second at most where the supervisor is down."""
        if self._home.group() is None:
            return []
        try:
            live = {info["name"]: info for info in self.supervisor.call("getAllProcessInfo", timeout_s=3)}
        except Unavailable:
            live = {}
        return [_status(name, live.get(name)) for name in self.names()]

    def strangers(self) -> Sequence[str]:
        """Programs under the supervisor that were never ensured here, sorted; none where it is down."""
        try:
            live = {str(info["name"]) for info in self.supervisor.call("getAllProcessInfo", timeout_s=3)}
        except Unavailable:
            return []
        return sorted(live - set(self.names()))

    def names(self) -> Sequence[str]:
        """All programs, sorted."""
        return sorted(f.name.removesuffix(".json") for f in (self._home.path / "programs").glob("[!.]*.json"))

    def program(self, name: str) -> Mapping[str, Any] | None:
        """What a program was last ensured as: command, environment (with secrets: never show it), directory, user."""
        return read_json(self._file(name))

    def log(self, name: str) -> Path:
        """Where a program's output goes; rotated at 10 MB, five old ones are kept as `.1` to `.5`."""
        return self._home.path / "logs" / f"{name}.log"

    def _file(self, name: str) -> Path:
        return self._home.path / "programs" / f"{name}.json"

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Change program files in the block; then the supervisor's configuration follows them."""
        with locked(self._home.path / ".processes.lock"):
            yield
            self.supervisor.configure(self._options())

    def _options(self) -> dict[str, Mapping[str, Any]]:
        """Supervisor's options for every program; the digest makes a changed program a changed configuration. Paths
        are relative to the home, supervisor's working folder."""
        options: dict[str, Mapping[str, Any]] = {}
        for name in self.names():
            program = self.program(name) or {}
            options[name] = program["options"] | {
                "command": launch_command(f"programs/{name}.json"),
                "environment": f'TXPLAN_DIGEST="{digest(program)[:16]}"',
                "autostart": "true", "autorestart": "true", "startsecs": 1, "startretries": 60,
                "killasgroup": "true", "redirect_stderr": "true", "stdout_logfile": f"logs/{name}.log",
                "stdout_logfile_maxbytes": "10MB", "stdout_logfile_backups": 5}
        return options

    def _call(self, method: str, *arguments: Any, but: str = "") -> Any:
        """Call the supervisor; Refused where it cannot, None where it answers the fault named `but`."""
        try:
            return self.supervisor.call(method, *arguments)
        except Unavailable as problem:
            raise Refused([error("supervisor-down", "the process supervisor does not answer", str(problem),
                                 "apply again; it is started anew")]) from None
        except xmlrpc.client.Fault as fault:
            if but and but in fault.faultString:
                return None
            raise Refused([error("supervisor-refused", f"the process supervisor refuses {method}",
                                 fault.faultString)]) from None

    def _settle(self, name: str) -> bool:
        """Bring a known program to RUNNING; says whether it was started here."""
        started, failed, deadline = False, set[int](), time.monotonic() + _SETTLE_S
        while time.monotonic() < deadline and len(failed) < _ATTEMPTS:
            info = self._call("getProcessInfo", name)
            if info["statename"] == "RUNNING":
                return started
            if info["statename"] == "BACKOFF":
                failed.add(info["start"])
            elif info["statename"] in _STOPPED_STATES:
                self._call("startProcess", name, False, but="ALREADY_STARTED")
                started = True
            time.sleep(0.05)
        raise Refused([error("program-down", f"{name} does not stay up", _tail(self.log(name)),
                             f"read {self.log(name)}")])


def _status(name: str, info: Mapping[str, Any] | None) -> ProgramStatus:
    if info is None:
        return ProgramStatus(name, "DOWN", None)
    # The supervisor learns of a death a moment later.
    pid = info["pid"] if info["pid"] and strays.lives(info["pid"]) else None
    return ProgramStatus(name, info["statename"], pid, info["spawnerr"])


def _tail(log: Path) -> str:
    """The last lines of a log, for an error's text."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 1000))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""
