"""Looks, before anything is made, at what would keep this machine from running an environment.

Must not: make or start anything.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil

from engine.model.diagnostic import Refused
from engine.providers.base import Finding
from engine.providers.local import cluster
from engine.providers.local.home import PORTS, Home, is_free

_DISK, _MEMORY = 2 << 30, 1 << 30
_SAMPLE = 20


class LocalDoctor:
    """A Doctor."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def look(self) -> Iterator[Finding]:
        """PostgreSQL's binaries, the account of servers, ports, disk, memory, the state folder."""
        try:
            yield Finding("ok", "postgres", f"PostgreSQL {cluster.binaries_version()} starts here")
        except (Refused, OSError, subprocess.SubprocessError) as problem:
            yield Finding("error", "postgres", f"its binaries do not run: {problem}", "Install txplan anew.")
        yield self._state()
        yield self._ports()
        folder = _existing(self._home.path)
        free, memory = shutil.disk_usage(folder).free, psutil.virtual_memory().available
        yield Finding("ok" if free > _DISK else "error", "disk", f"{free / 2**30:.1f} GiB free at {folder}",
                      "" if free > _DISK else "Make room, or name another folder in TXPLAN_STATE_DIR.")
        yield Finding("ok" if memory > _MEMORY else "warning", "memory", f"{memory / 2**30:.1f} GiB available",
                      "" if memory > _MEMORY else "End something: servers may be killed for want of it.")

    def _state(self) -> Finding:
        folder = _existing(self._home.path)
        if not os.access(folder, os.W_OK):
            return Finding("error", "state", f"{folder} cannot be written",
                           "Make it writable, or name another folder in TXPLAN_STATE_DIR.")
        return Finding("ok", "state", f"{self._home.path} {'is there' if self._home.path.exists() else 'can be made'}")

    def _ports(self) -> Finding:
        try:
            socket.create_server(("127.0.0.1", 0)).close()
        except OSError as problem:
            return Finding("error", "ports", f"nothing can listen on loopback: {problem}",
                           "Let processes listen there.")
        free = sum(is_free(port) for port in PORTS[::len(PORTS) // _SAMPLE])
        return Finding("ok" if free else "error", "ports",
                       f"loopback answers; ports {PORTS.start} to {PORTS.stop - 1} have room",
                       "" if free else "End what listens there.")


def _existing(path: Path) -> Path:
    """The nearest folder that is there."""
    return next(p for p in (path, *path.parents) if p.is_dir())
