"""The resource type `postgres`: a PostgreSQL server of its own.

Owns: bringing the server to its spec, in place or by a restart, whichever a setting needs. Must not: know what is in
its databases.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from engine.model.diagnostic import Refused, error
from engine.model.value import Attributes
from engine.providers import logins
from engine.providers.base import ASIDE, Context, Foreign, Progress, SecretStore, previous_of
from engine.providers.local import cluster
from engine.providers.local.access import Access
from engine.providers.local.cluster import Cluster
from engine.providers.local.home import Home
from engine.providers.local.processes import Processes

_RECOVERY_S = 60.0


class PostgresType:
    """{name, tags, version, parameters, admin_secret}."""

    type = "postgres"
    immutable = frozenset({"version"})
    grows: frozenset[str] = frozenset()

    def __init__(self, home: Home, processes: Processes, secrets: SecretStore, access: Access) -> None:
        self._home, self._processes, self._secrets, self._access = home, processes, secrets, access

    def observe(self, name: str) -> Attributes | None:
        """The live spec; `needs`: `start` where it is down, `configuration` where its file was changed by another
        hand, `restart` where a setting waits for one, `admin-password` where the secret was rotated, `vault` where the
        vault cannot tell."""
        record = self._home.record(self.type, name)
        if record is None or not Cluster(self._home, name).exists():
            return None
        server = Cluster(self._home, name)
        live: dict[str, Any] = {key: record[key] for key in ("name", "tags", "parameters", "admin_secret")}
        live["version"] = int((server.data / "PG_VERSION").read_text())
        needs = self._needs(server, record)
        return live | ({"needs": needs} if needs else {})

    def _needs(self, server: Cluster, record: Mapping[str, Any]) -> list[str]:
        needs = []
        port = self._home.port(self._port_key(server.name))
        if server.configuration.read_text() != server.render(port, record["parameters"]):
            needs.append("configuration")
        try:
            if record["admin_fingerprint"] != self._fingerprint(record["admin_secret"]):
                needs.append("admin-password")
        except Refused:
            # No reason to hide whose server it is: without its tags nobody could destroy it.
            needs.append("vault")
        if not self._up(server.name):
            needs.append("start")
        elif "admin-password" not in needs and self._waits_for_restart(server.name):
            needs.append("restart")
        return needs

    def apply(self, name: str, spec: Attributes, context: Context) -> None:
        """Initialise it, change it in place, or start it again."""
        _check_version(spec["version"])
        parameters = spec["parameters"]
        assert isinstance(parameters, Mapping)
        server = Cluster(self._home, name)
        self._processes.start()
        record = {**spec, "admin_fingerprint": self._initialise(server, spec, context)}
        if not self._up(name):
            self._processes.stop(name)
            _, former = self._home.free_port(self._port_key(name))
            if former is not None:
                context.emit(Progress(note=f"port {former} is taken by another process; another is chosen"))
        server.configure(server.render(self._home.port(self._port_key(name)), parameters))
        # Whether or not the file has changed here: an earlier apply may have been cut off before the reload.
        if not self._processes.ensure(server.program()):
            self._reload(name, context)
        # Last, so that an interrupted change still shows as a difference between the file and the record.
        self._home.save_record(self.type, name, record)

    def _initialise(self, server: Cluster, spec: Attributes, context: Context) -> str:
        """Make the cluster, or give it the present password; returns the password's fingerprint."""
        secret = str(spec["admin_secret"])
        password = self._secrets.get(secret)
        fingerprint = self._secrets.fingerprint(password)
        if not server.exists():
            context.emit(Progress(note="initialising the cluster"))
            self._processes.remove(server.name)
            # Recorded first: a cluster without its record would have a password that nobody knows of.
            self._home.save_record(self.type, server.name, {**spec, "admin_fingerprint": fingerprint})
            server.initialise(logins.verifier(password, cluster.ADMIN))
        elif (self._home.record(self.type, server.name) or {}).get("admin_fingerprint") != fingerprint:
            context.emit(Progress(note="changing the administrator's password"))
            if not self._changed_online(server.name, secret, password):
                self._processes.stop(server.name)
                server.set_password(logins.verifier(password, cluster.ADMIN))
            self._home.save_record(self.type, server.name, {
                **(self._home.record(self.type, server.name) or {}), "admin_secret": secret,
                "admin_fingerprint": fingerprint})
        return fingerprint

    def _changed_online(self, name: str, secret: str, password: str) -> bool:
        """Whether the running server took the new password by the old one, which the vault keeps while it is rotated;
        without that the server has to be stopped for it."""
        former = previous_of(secret)
        if not self._up(name) or self._secrets.describe(former) is None:
            return False
        try:
            with self._access.administer(name, password=self._secrets.get(former)) as connection:
                connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                    sql.Identifier(cluster.ADMIN), sql.Literal(logins.verifier(password, cluster.ADMIN))))
        except Refused:
            # It may have taken the new one already, and been cut off before that was recorded.
            return self.ready(name) is None
        return True

    def _reload(self, name: str, context: Context) -> None:
        # Started a moment ago with everything else, it may still be recovering.
        answers_by = time.monotonic() + _RECOVERY_S
        while self.ready(name) is not None and time.monotonic() < answers_by and not context.cancelled():
            time.sleep(0.1)
        with self._access.administer(name) as connection:
            loaded = _one(connection, "SELECT pg_conf_load_time()")
            connection.execute("SELECT pg_reload_conf()")
            deadline = time.monotonic() + 10
            while _one(connection, "SELECT pg_conf_load_time()") == loaded and time.monotonic() < deadline:
                time.sleep(0.02)
        if self._waits_for_restart(name):
            context.emit(Progress(note="restarting: a parameter needs it"))
            self._processes.restart(name)

    def ready(self, name: str) -> str | None:
        """None where it answers a query."""
        try:
            with self._access.administer(name) as connection:
                _one(connection, "SELECT 1")
        except (Refused, psycopg.Error):
            return "PostgreSQL to answer"
        return None

    def delete(self, name: str, context: Context) -> None:
        """Stop the server and remove its data."""
        if self._home.group() is None:
            return
        self._processes.remove(name)
        Cluster(self._home, name).remove()
        self._home.drop_port(self._port_key(name))
        self._home.drop_record(self.type, name)

    def foreign(self, name: str) -> Sequence[Foreign] | None:
        """Databases that nobody declared."""
        if self._home.record(self.type, name) is None:
            return []
        own = {cluster.ADMIN, ASIDE, *self._home.records("database")}
        try:
            with self._access.administer(name) as connection:
                found = connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1")
                return [Foreign(f"database {name}", "foreign") for (name,) in found if name not in own]
        except (Refused, psycopg.Error):
            return None

    def inventory(self) -> Sequence[str]:
        """The recorded servers."""
        return self._home.records(self.type)

    def _up(self, name: str) -> bool:
        status = self._processes.status(name)
        return status is not None and status.state == "RUNNING" and status.running

    def _fingerprint(self, secret: str) -> str | None:
        described = self._secrets.describe(secret)
        return None if described is None else described.fingerprint

    def _waits_for_restart(self, name: str) -> bool:
        try:
            with self._access.administer(name) as connection:
                return bool(_one(connection, "SELECT count(*) FROM pg_settings WHERE pending_restart"))
        except (Refused, psycopg.Error):
            return False

    @staticmethod
    def _port_key(name: str) -> str:
        return f"postgres/{name}"


def _check_version(wanted: object) -> None:
    offered = cluster.binaries_version()
    if wanted != offered:
        raise Refused([error("postgres-version", f"this txplan brings PostgreSQL {offered}, not {wanted}",
                             mend=f"set postgres.version to {offered}")])


def _one(connection: psycopg.Connection[tuple[Any, ...]], query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    return None if row is None else row[0]
