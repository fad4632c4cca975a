"""The folder of one environment on this machine: who it is, what is where, which ports it has.

Owns: the ownership record, the instance id, folders, recorded ports, the unprivileged user that servers run as when
txplan runs as root, and the records of resources. Must not: start or end a process, or know what a resource is.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import random
import secrets
import shutil
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.model.codec import encode
from engine.model.diagnostic import Refused, error
from engine.model.step import Environment
from engine.providers.local.files import locked, read_json, remove_if_empty, write_json

# Below the ports that systems hand out for outgoing connections, so that a server that is down for a moment
# does not lose its port to somebody's client socket.
PORTS = range(20_000, 30_000)

ROOT_RUNTIME = Path("/var/lib/txplan")
_MARK = "instance.json"


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The account of servers that refuse to run as root."""

    name: str
    uid: int
    gid: int


class Home:
    """One environment's folder, `<state_dir>/envs/<environment>`. Making the object touches nothing."""

    def __init__(self, environment: Environment, state_dir: Path) -> None:
        self.environment = environment
        self.state_dir = state_dir.expanduser().absolute()
        self.path = self.state_dir / "envs" / environment.name
        self._group_file = self.path / "group.json"
        self._manifest: str | None = None

    # Who it is

    def group(self) -> dict[str, Any] | None:
        """The ownership record: name, tags, instance, environment, manifest, created_at, runtime, server_user; None
        where there is none."""
        return read_json(self._group_file)

    def create(self, name: str, tags: Mapping[str, str]) -> None:
        """Make the folders and the ownership record with a new instance id; Refused where another group owns it."""
        existing = self.group()
        if existing is None:
            self._make_folder(name, tags)
        elif existing["name"] != name:
            raise self.foreign(name)
        elif existing["tags"] != dict(tags) or existing.get("environment") != encode(self.environment):
            write_json(self._group_file, existing | {"tags": dict(tags), "environment": encode(self.environment)})

    def note_manifest(self, manifest: str) -> None:
        """Record where the environment's manifest is, and who it is; for one that is not there yet when it is made."""
        self._manifest, existing = manifest, self.group()
        said = {"manifest": manifest, "environment": encode(self.environment)}
        if existing is not None and existing != existing | said:
            write_json(self._group_file, existing | said)

    def foreign(self, name: str) -> Refused:
        """What to raise where the folder is not `name`'s."""
        owner = self.require()["name"]
        return Refused([error("foreign-home", f"{self.path} belongs to {owner}, not to {name}",
                              mend="destroy that environment first, or use another state folder")])

    def _make_folder(self, name: str, tags: Mapping[str, str]) -> None:
        _remove_tree(self._planned_runtime())
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(self._group_file, {
            "name": name, "tags": dict(tags), "instance": secrets.token_hex(8),
            "runtime": str(self._planned_runtime()), "server_user": _unprivileged_user() if _is_root() else None,
            "environment": encode(self.environment), "manifest": self._manifest,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds")})

    def _planned_runtime(self) -> Path:
        # The home of root is closed to the servers' user, so what they touch lives where they can reach it.
        if _is_root():
            return ROOT_RUNTIME / hashlib.sha256(str(self.path).encode()).hexdigest()[:16]
        return self.path / "run"

    def abandoned(self) -> str | None:
        """The instance id of an environment whose folder was deleted by hand while its runtime folder was not."""
        if self.group() is not None:
            return None
        left = read_json(self._planned_runtime() / _MARK)
        return None if left is None else str(left["instance"])

    def require(self) -> dict[str, Any]:
        """The ownership record; Refused where the environment does not exist."""
        group = self.group()
        if group is None:
            raise Refused([error("no-environment", f"there is no environment {self.environment.name} in "
                                 f"{self.state_dir}", mend="apply the manifest first")])
        return group

    @property
    def instance(self) -> str:
        """The random id that every process of the environment carries as TXPLAN_INSTANCE."""
        return str(self.require()["instance"])

    @property
    def server_user(self) -> ServerUser | None:
        """The account for servers that refuse root; None where they run as the user who runs txplan."""
        name = self.require()["server_user"]
        if name is None:
            return None
        account = pwd.getpwnam(name)
        return ServerUser(name, account.pw_uid, account.pw_gid)

    # What is where

    def folder(self, *parts: str) -> Path:
        """A private folder (0700) below the home, made where it is missing."""
        self.require()
        path = self.path
        for part in parts:
            path = path / part
            path.mkdir(mode=0o700, exist_ok=True)
        return path

    @property
    def runtime(self) -> Path:
        """The folder for what servers touch; reachable by the servers' user, not always below the home."""
        return Path(self.require()["runtime"])

    def server_folder(self, *parts: str) -> Path:
        """A private folder below `runtime` that belongs to the servers' user, made where it is missing."""
        user, path = self.server_user, self.runtime
        if not (path / _MARK).exists():
            path.mkdir(parents=True, exist_ok=True)
            for folder in (path, path.parent) if user else ():
                folder.chmod(0o755)
            write_json(path / _MARK, {"instance": self.instance})
        for part in parts:
            path = path / part
            path.mkdir(mode=0o700, exist_ok=True)
            if user:
                os.chown(path, user.uid, user.gid)
        return path

    def remove(self) -> None:
        """Remove every file of the environment and the empty folders above; the ownership record goes last, so
        that an interrupted removal can go on."""
        group = self.group()
        if group is not None:
            runtime = Path(group["runtime"])
            _remove_tree(runtime)
            if runtime.parent == ROOT_RUNTIME:
                remove_if_empty(ROOT_RUNTIME)
            for child in self.path.iterdir():
                if child != self._group_file:
                    _remove_tree(child)
        _remove_tree(self.path)
        if remove_if_empty(self.path.parent):
            remove_if_empty(self.state_dir)

    # Records of resources

    def record(self, kind: str, name: str) -> dict[str, Any] | None:
        """What was recorded of a resource (`kind` such as `postgres`), or None."""
        return read_json(self.path / "records" / kind / f"{name}.json")

    def save_record(self, kind: str, name: str, value: Mapping[str, Any]) -> None:
        """Record a resource; whole or not at all."""
        write_json(self.folder("records", kind) / f"{name}.json", dict(value))

    def drop_record(self, kind: str, name: str) -> None:
        """Forget a resource; none is no error."""
        (self.path / "records" / kind / f"{name}.json").unlink(missing_ok=True)

    def records(self, kind: str) -> Sequence[str]:
        """Names of all recorded resources of a kind, sorted."""
        return sorted(file.name.removesuffix(".json") for file in (self.path / "records" / kind).glob("[!.]*.json"))

    # Ports

    def port(self, key: str) -> int:
        """The port recorded for `key`, chosen and recorded on first use; kept over restarts."""
        self.folder()
        with locked(self.path / ".ports.lock"):
            ports = self._ports()
            if key not in ports:
                ports[key] = self._choose()
                write_json(self.path / "ports.json", ports)
            return ports[key]

    def free_port(self, key: str) -> tuple[int, int | None]:
        """(port, the former port or None): call before starting a server that is down. Where a stranger listens on
        the recorded port, another is chosen and recorded."""
        port = self.port(key)
        if is_free(port):
            return port, None
        self.drop_port(key)
        return self.port(key), port

    def drop_port(self, key: str) -> None:
        """Give a port back; none is no error."""
        if self.group() is None:
            return
        with locked(self.path / ".ports.lock"):
            ports = self._ports()
            if ports.pop(key, None) is not None:
                write_json(self.path / "ports.json", ports)

    def _ports(self) -> dict[str, int]:
        return dict(read_json(self.path / "ports.json") or {})

    def _choose(self) -> int:
        # Neighbours' servers may be down for now, so their recorded ports are avoided too.
        recorded: set[int] = set()
        for file in self.path.parent.glob("*/ports.json"):
            with suppress(OSError, ValueError):
                recorded.update((read_json(file) or {}).values())
        for port in random.sample(PORTS, len(PORTS)):
            if port not in recorded and is_free(port):
                return port
        raise Refused([error("no-free-port", f"no port from {PORTS.start} to {PORTS.stop - 1} is free")])


def _is_root() -> bool:
    return os.geteuid() == 0


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _unprivileged_user() -> str:
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            if pwd.getpwnam(name).pw_uid != 0:
                return name
    raise Refused([error("no-server-user", "txplan runs as root, and there is no account for servers that refuse root",
                         mend="make an account named postgres, or run txplan as an ordinary user")])


def _remove_tree(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
