"""`database` {name, owner, logins, server}: the database by the resource manager, its logins by SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from engine.model.diagnostic import Refused
from engine.model.value import Attributes
from engine.providers import logins
from engine.providers.azure.resource import AzureType
from engine.providers.base import Context, Foreign


class Database(AzureType):
    """See the module."""

    type = "database"
    path = "Microsoft.DBforPostgreSQL/flexibleServers/{pg}/databases/{name}"
    api = "2025-08-01"
    immutable = frozenset({"server"})

    def observe(self, name: str) -> Attributes | None:
        """As the server tells; where it is away, what the resource manager knows."""
        if self.read(name) is None:
            return None
        known = {"name": name, "server": self.site.names["pg"]}
        try:
            with self.ground.access.administer() as session:
                live = logins.live(session, name, self.ground.secrets)
        except (Refused, psycopg.Error):
            return known
        return None if live is None else {**known, **live}

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """UTF-8, ordered as the local target's."""
        return {"properties": {"charset": "UTF8", "collation": "en_US.utf8"}}

    def apply(self, name: str, spec: Attributes, context: Context) -> None:
        """The database, and its logins."""
        if self.read(name) is None:
            self.arm.put(self.id(name), self.api, self.body(name, spec, context), context)
        wanted = spec["logins"]
        assert isinstance(wanted, Mapping)
        with self.ground.access.administer() as session:
            logins.ensure(session, name, str(spec["owner"]), wanted, self.ground.secrets)

    def ready(self, name: str) -> str | None:
        """None where the administrator finds it."""
        try:
            with self.ground.access.administer(name) as session:
                session.execute("SELECT 1")
        except (Refused, psycopg.Error) as problem:
            return f"PostgreSQL to answer ({str(problem).strip()[:120]})"
        return None

    def inventory(self) -> Sequence[str]:
        """None: what the server holds besides is told by the server."""
        return []

    def foreign(self, name: str) -> list[Foreign]:
        """Nothing; what was made in its schema by hand is told by the schema's guardrail."""
        return []


TYPES = (Database,)
