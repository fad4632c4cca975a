"""The resource type `database`: a database with its owner and its logins.

Owns: the login roles, their passwords, and who may connect. Must not: know the schema (migrations do). A login's role
carries the name and the fingerprint of its secret in its comment, so that a rotation is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import psycopg

from engine.model.diagnostic import Refused
from engine.model.value import Attributes
from engine.providers import logins
from engine.providers.base import Context, Foreign, SecretStore
from engine.providers.local.access import Access
from engine.providers.local.home import Home


class DatabaseType:
    """{name, owner, logins: {role: secret}, server}."""

    type = "database"
    immutable = frozenset({"server"})
    grows: frozenset[str] = frozenset()

    def __init__(self, home: Home, secrets: SecretStore, access: Access) -> None:
        self._home, self._secrets, self._access = home, secrets, access

    def observe(self, name: str) -> Attributes | None:
        """As the server tells; as recorded while the server is down. `needs`: `login:<role>` where its secret is
        another by now, `grants` where everybody may connect."""
        record = self._home.record(self.type, name)
        if record is None:
            return None
        try:
            with self._access.administer(record["server"]) as session:
                live = logins.live(session, name, self._secrets)
                return None if live is None else {"name": name, "server": record["server"], **live}
        except (Refused, psycopg.OperationalError):
            return {key: record[key] for key in ("name", "owner", "logins", "server")}

    def apply(self, name: str, spec: Attributes, context: Context) -> None:
        """Make the roles and the database, give rotated logins their new passwords."""
        wanted = spec["logins"]
        assert isinstance(wanted, Mapping)
        with self._access.administer(str(spec["server"])) as session:
            logins.ensure(session, name, str(spec["owner"]), wanted, self._secrets)
        self._home.save_record(self.type, name, spec)

    def ready(self, name: str) -> str | None:
        """None where its owner can log in."""
        record = self._home.record(self.type, name)
        if record is None:
            return "the database to be made"
        try:
            with self._access.connect(record["owner"], database=name) as session:
                session.execute("SELECT 1")
        except (Refused, psycopg.OperationalError):
            return f"{record['owner']} to log in"
        return None

    def delete(self, name: str, context: Context) -> None:
        """Drop the database, its logins and the roles that its owner made. Where the server is away only the record
        goes: the database goes with the server's files."""
        record = self._home.record(self.type, name)
        if record is None:
            return
        try:
            # Logins that another database on this server still needs stay; they go with the server.
            with (self._access.administer(record["server"]) as session,
                  suppress(psycopg.errors.DependentObjectsStillExist)):
                logins.drop(session, name, record["owner"])
        except (Refused, psycopg.OperationalError):
            pass
        self._home.drop_record(self.type, name)

    def foreign(self, name: str) -> Sequence[Foreign]:
        """Nothing; what was made in its schema by hand is told by the schema's guardrail."""
        return []

    def inventory(self) -> Sequence[str]:
        """The recorded databases."""
        return self._home.records(self.type)
