"""Connections to the environment's PostgreSQL server, by role.

Owns: which server, database, password and settings a connection uses. Must not: create or change anything there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.conninfo import make_conninfo

from engine.model.diagnostic import Refused, error
from engine.providers.base import SecretStore
from engine.providers.local.cluster import ADMIN
from engine.providers.local.home import Home

_CONNECT_S = 5


class Access:
    """A Database. The roles are `postgres` and the logins of the recorded database."""

    def __init__(self, home: Home, secrets: SecretStore) -> None:
        self._home, self._secrets = home, secrets

    @contextmanager
    def connect(self, role: str, *, database: str | None = None) -> Iterator[Connection[tuple[Any, ...]]]:
        """A connection as `role`, autocommit off; commits at the end of the block, rolls back on an error. Refused
        where the server is away or the login fails."""
        with self._open(self._variables(role, database)) as connection:
            yield connection

    @contextmanager
    def administer(self, server: str, database: str = ADMIN,
                   password: str | None = None) -> Iterator[Connection[tuple[Any, ...]]]:
        """A connection of the administrator of `server`, with autocommit; `password` is another than the vault's."""
        values = self._login(server, ADMIN, database)
        with self._open(values | ({} if password is None else {"password": password})) as connection:
            connection.autocommit = True
            yield connection

    def reachable(self) -> bool:
        """Whether the server exists and answers."""
        try:
            with self.connect(ADMIN) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except (Refused, psycopg.Error):
            return False

    def client_environment(self, role: str) -> Mapping[str, str]:
        """libpq variables for a process that logs in as `role`; PGPASSWORD is a secret."""
        values = self._variables(role, None)
        return {"PGHOST": values["host"], "PGPORT": values["port"], "PGDATABASE": values["dbname"],
                "PGUSER": values["user"], "PGPASSWORD": values["password"], "PGSSLMODE": "disable"}

    def _variables(self, role: str, database: str | None) -> dict[str, str]:
        names, servers = self._home.records("database"), self._home.records("postgres")
        if names:
            server = str((self._home.record("database", names[0]) or {})["server"])
        elif servers:
            server = servers[0]
        else:
            raise _unreachable("the environment has no database server")
        return self._login(server, role, database or (names[0] if names else ADMIN))

    def _login(self, server: str, role: str, database: str) -> dict[str, str]:
        if role == ADMIN:
            secret = (self._home.record("postgres", server) or {}).get("admin_secret")
        else:
            secret = (self._home.record("database", database) or {}).get("logins", {}).get(role)
        if secret is None:
            raise Refused([error("no-login", f"the environment has no login {role}", mend="apply the manifest first")])
        return {"host": "127.0.0.1", "port": str(self._home.port(f"postgres/{server}")), "dbname": database,
                "user": role, "password": self._secrets.get(secret)}

    @contextmanager
    def _open(self, values: Mapping[str, str]) -> Iterator[Connection[tuple[Any, ...]]]:
        # Every setting that libpq would else take from the user's own environment or files is given.
        try:
            connection = psycopg.connect(make_conninfo(
                **values, connect_timeout=_CONNECT_S, application_name="txplan", options="", sslmode="disable",
                gssencmode="disable", client_encoding="utf8", passfile="/dev/null", target_session_attrs="any"))
        except psycopg.OperationalError as problem:
            raise _unreachable(f"{values['user']} cannot log in to PostgreSQL at 127.0.0.1:{values['port']}",
                               str(problem).strip()) from None
        with connection:
            yield connection


def _unreachable(summary: str, detail: str = "") -> Refused:
    return Refused([error("database-unreachable", summary, detail, "apply the manifest, which starts and mends it")])
