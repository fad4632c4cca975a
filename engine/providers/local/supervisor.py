"""The supervisor daemon of one environment: its configuration, its start and end, and calls to it.

Owns: supervisord.conf and the control port. Must not: decide which programs there are (`processes` does).
"""

from __future__ import annotations

import base64
import http.client
import secrets
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from engine.model.diagnostic import Refused, error
from engine.providers.local import bound, launch, strays
from engine.providers.local.files import read_json, write_json, write_private
from engine.providers.local.home import Home

_PORT_KEY = "supervisor"
_START_S = 30.0
_STOP_S = 60.0
_SLOW_S = 20.0
_PROGRAM = "supervisor.supervisord"


class Unavailable(Exception):
    """The supervisor does not answer."""


class Supervisor:
    """One supervisord, reached by XML-RPC on a loopback port with a password made anew at each start."""

    def __init__(self, home: Home) -> None:
        self._home = home

    @property
    def _conf(self) -> Path:
        return self._home.path / "supervisor" / "supervisord.conf"

    @property
    def _control(self) -> Path:
        return self._home.path / "supervisor" / "control.json"

    def call(self, method: str, *arguments: Any, timeout_s: float = 10.0) -> Any:
        """Call `supervisor.<method>`; raises Unavailable where nothing answers, and xmlrpc.client.Fault."""
        control = read_json(self._control)
        if control is None:
            raise Unavailable("never started")
        credentials = base64.b64encode(f"txplan:{control['password']}".encode()).decode()
        # In a header, since xmlrpc.client repeats the credentials of a URL in its errors.
        transport = _Transport(timeout_s, headers=[("Authorization", f"Basic {credentials}")])
        proxy = xmlrpc.client.ServerProxy(f"http://127.0.0.1:{control['port']}/RPC2", transport=transport)
        try:
            with proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError, xmlrpc.client.ResponseError,
                ValueError) as problem:
            raise Unavailable(type(problem).__name__) from None

    def alive(self) -> bool:
        """Whether this environment's own supervisor answers. While its process lives it is asked again for a while: on
        a busy machine it may be slow, and who takes it for dead ends all that runs under it."""
        deadline = time.monotonic() + _SLOW_S
        while not self._answers():
            if time.monotonic() > deadline or self._home.group() is None or not self._lives():
                return False
            time.sleep(0.1)
        return True

    def _lives(self) -> bool:
        return any(map(is_supervisor, strays.find(self._home.instance)))

    def _answers(self) -> bool:
        try:
            return bool(self.call("getIdentification", timeout_s=3) == strays.cluster_name(self._home.instance)
                        and self.call("getState", timeout_s=3)["statename"] == "RUNNING")
        except (Unavailable, Refused):
            return False

    def start(self, programs: Mapping[str, Mapping[str, Any]]) -> bool:
        """Start it where it is down, after ending what an earlier one left behind; it starts all `programs`. Says
        whether it was down."""
        if self.alive():
            return False
        instance = self._home.instance
        strays.end_all(instance)
        self._home.folder("supervisor")
        self._home.folder("logs")
        port, _ = self._home.free_port(_PORT_KEY)
        write_json(self._control, {"port": port, "password": secrets.token_hex(16)})
        self.configure(programs)
        started = subprocess.run(
            [sys.executable, "-m", _PROGRAM, "-c", str(self._conf)], cwd=self._home.path, check=False,
            env=bound.base_environment() | {strays.INSTANCE: instance}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, start_new_session=True, umask=0o077, timeout=_START_S)
        deadline = time.monotonic() + _START_S
        while started.returncode == 0 and time.monotonic() < deadline:
            if self.alive():
                return True
            time.sleep(0.05)
        raise Refused([error("supervisor-failed", "the process supervisor does not start",
                             started.stderr.strip()[-500:], f"read {self._home.path / 'logs' / 'supervisord.log'}")])

    def stop(self) -> None:
        """Stop it and all its programs, gracefully; then whatever else belongs to the environment."""
        if self.alive():
            self.call("shutdown")
            deadline = time.monotonic() + _STOP_S
            while strays.find(self._home.instance) and time.monotonic() < deadline:
                time.sleep(0.05)
        strays.end_all(self._home.instance)

    def configure(self, programs: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the configuration for the next start or reload; values are supervisor's own options a program."""
        control = read_json(self._control) or {}
        # By `here`, the folder of this file: supervisor would take a ` #` in a written-out path for a comment.
        sections: dict[str, Mapping[str, Any]] = {
            "supervisord": {
                "identifier": strays.cluster_name(self._home.instance), "directory": "%(here)s/..", "umask": "077",
                "logfile": "%(here)s/../logs/supervisord.log", "logfile_maxbytes": "10MB", "logfile_backups": 2,
                "pidfile": "%(here)s/supervisord.pid", "childlogdir": "%(here)s/../logs", "nocleanup": "true"},
            "inet_http_server": {
                "port": f"127.0.0.1:{control['port']}", "username": "txplan", "password": control["password"]},
            "rpcinterface:supervisor": {
                "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"}}
        sections |= {f"program:{name}": options for name, options in sorted(programs.items())}
        write_private(self._conf, "".join(_section(title, options) for title, options in sections.items()))


def is_supervisor(process: psutil.Process) -> bool:
    """Whether a process is a supervisor, of whatever environment."""
    try:
        return _PROGRAM in process.cmdline()
    except (psutil.Error, OSError):
        return False


def launch_command(program_file: str) -> str:
    """The command line that becomes the program in `program_file`, a path from the home, where supervisor works."""
    command = shlex.join([sys.executable, "-I", "-S", str(launch.__file__), program_file])
    return command.replace("%", "%%")  # Else supervisor would expand it.


def _section(title: str, options: Mapping[str, Any]) -> str:
    lines = [f"{key} = {value}" for key, value in options.items()]
    return "\n".join([f"[{title}]", *lines, "", ""])


class _Transport(xmlrpc.client.Transport):
    """XML-RPC with a time limit."""

    def __init__(self, timeout_s: float, headers: list[tuple[str, str]]) -> None:
        super().__init__(headers=headers)
        self._timeout_s = timeout_s

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(host, timeout=self._timeout_s)
