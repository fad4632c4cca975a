"""Connections to the environment's PostgreSQL server, by role, over TLS that is checked in full.

Owns: which address, login, password and authorities a connection uses. Must not: create or change anything there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.conninfo import make_conninfo

from engine.model.diagnostic import Refused, error
from engine.providers.azure.arm import Arm
from engine.providers.azure.site import Site
from engine.providers.azure.types.postgres import API, LOGIN
from engine.providers.base import SecretStore

ADMIN = "postgres"
"""The administrator as kinds name it; on Azure its login is another."""

_CONNECT_S = 8
_FRESH_S = 2.0
LOGINS = {"bo_migrator": "postgres-migrator", "bo_consumer": "postgres-consumer", "bo_api": "postgres-api"}


class Access:
    """A Database. `logins` maps a role to its secret."""

    def __init__(self, arm: Arm, site: Site, secrets: SecretStore) -> None:
        self._arm, self._site, self._secrets = arm, site, secrets
        self._guard, self._reading = threading.Lock(), threading.Lock()
        self._seen: tuple[float, str | None] = (-_FRESH_S, None)
        self._answers: tuple[float, bool] = (-_FRESH_S, False)
        self._passwords: dict[str, tuple[str, str]] = {}

    def host(self) -> str | None:
        """The server's address as Azure tells it; None where there is no server."""
        with self._guard:
            at, host = self._seen
            # What is not there may be made at any moment.
            if host is None or time.monotonic() - at > _FRESH_S:
                live = self._arm.get(self._site.id(
                    f"Microsoft.DBforPostgreSQL/flexibleServers/{self._site.names['pg']}"), API)
                host = (live or {}).get("properties", {}).get("fullyQualifiedDomainName")
                self._seen = (time.monotonic(), host)
            return host

    @contextmanager
    def connect(self, role: str, *, database: str | None = None) -> Iterator[Connection[tuple[Any, ...]]]:
        """A connection as `role`, autocommit off; Refused where the server is away or the login fails."""
        values = self._variables(role, database)
        try:
            # Every setting that libpq would else take from the user's own environment or files is given.
            connection = psycopg.connect(make_conninfo(
                **values, connect_timeout=_CONNECT_S, application_name="txplan", options="", gssencmode="disable",
                client_encoding="utf8", passfile="/dev/null", target_session_attrs="any"))
        except psycopg.OperationalError as problem:
            self._passwords.pop(role, None)
            raise _unreachable(f"{role} cannot log in to PostgreSQL at {values['host']}",
                               str(problem).strip()) from None
        with connection:
            yield connection

    @contextmanager
    def administer(self, database: str = ADMIN) -> Iterator[Connection[tuple[Any, ...]]]:
        """A connection of the administrator, with autocommit."""
        with self.connect(ADMIN, database=database) as connection:
            connection.autocommit = True
            yield connection

    def reachable(self) -> bool:
        """Whether the server exists and answers the administrator; asked once for a moment."""
        with self._guard:
            at, answers = self._answers
            if answers and time.monotonic() - at < _FRESH_S:
                return True
        try:
            with self.connect(ADMIN, database=ADMIN) as connection:
                found = connection.execute("SELECT 1").fetchone() == (1,)
        except (Refused, psycopg.Error):
            found = False
        with self._guard:
            self._answers = (time.monotonic(), found)
        return found

    def client_environment(self, role: str) -> Mapping[str, str]:
        """libpq variables for a process that logs in as `role`; PGPASSWORD is a secret. Its authorities are the
        image's, or those of TXPLAN_CA."""
        values = self._variables(role, None)
        found = {"PGHOST": values["host"], "PGPORT": values["port"], "PGDATABASE": values["dbname"],
                 "PGUSER": values["user"], "PGPASSWORD": values["password"], "PGSSLMODE": "verify-full"}
        return found | {"PGSSLROOTCERT": "system" if self._site.ca_file is None else self._site.ca_file}

    def _variables(self, role: str, database: str | None) -> dict[str, str]:
        host = self.host()
        if host is None:
            raise _unreachable("the environment has no database server")
        secret = "postgres-admin" if role == ADMIN else LOGINS.get(role)
        if secret is None:
            raise Refused([error("no-login", f"the environment has no login {role}", mend="apply the manifest first")])
        return {"host": host, "port": "5432", "user": LOGIN if role == ADMIN else role,
                "dbname": database or str(self._site.environment.site["database"]),
                "password": self._password(role, secret), "sslmode": "verify-full",
                "sslrootcert": self._site.ca_file or "system"}

    def _password(self, role: str, secret: str) -> str:
        """The secret's value, read once as long as the vault's list tells of the same one."""
        with self._reading:
            described = self._secrets.describe(secret)
            kept = self._passwords.get(role)
            if kept is None or described is None or kept[0] != described.fingerprint:
                kept = (described.fingerprint if described else "", self._secrets.get(secret))
                self._passwords[role] = kept
            return kept[1]


def _unreachable(summary: str, detail: str = "") -> Refused:
    return Refused([error("database-unreachable", summary, detail,
                          "apply the manifest; see that azure.allow has this machine's address")])
