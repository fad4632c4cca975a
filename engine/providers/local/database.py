"""The resource type `database`: a database with its owner and its logins.

Owns: the login roles, their passwords, and who may connect. Must not: know the schema (migrations do). A login's role
carries the name and the fingerprint of its secret in its comment, so that a rotation is seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import Connection, sql

from engine.model.diagnostic import Refused
from engine.model.value import Attributes
from engine.providers.base import Context, Foreign, SecretStore
from engine.providers.local import cluster
from engine.providers.local.access import Access
from engine.providers.local.home import Home

Session = Connection[tuple[Any, ...]]

_LOGINS = """
SELECT r.rolname, shobj_description(r.oid, 'pg_authid') FROM pg_roles r
WHERE r.rolcanlogin AND shobj_description(r.oid, 'pg_authid') LIKE '{%'"""

_DATABASE = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s"

_OPEN = """
SELECT EXISTS (SELECT FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
WHERE d.datname = %s AND a.grantee = 0)"""

_MADE_BY = """
SELECT made.rolname FROM pg_auth_members m JOIN pg_roles made ON made.oid = m.roleid JOIN pg_roles maker
ON maker.oid = m.member WHERE maker.rolname = %s AND m.admin_option"""


class DatabaseType:
    """{name, owner, logins: {role: secret}, server}."""

    type = "database"
    immutable = frozenset({"server"})

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
                return self._live(session, name, record)
        except (Refused, psycopg.OperationalError):
            return {key: record[key] for key in ("name", "owner", "logins", "server")}

    def _live(self, session: Session, name: str, record: Mapping[str, Any]) -> Attributes | None:
        owner = session.execute(_DATABASE, (name,)).fetchone()
        if owner is None:
            return None
        logins = {role: json.loads(comment) for role, comment in session.execute(_LOGINS)}
        needs = [f"login:{role}" for role, known in sorted(logins.items())
                 if known["fingerprint"] != self._fingerprint(known["secret"])]
        if session.execute(_OPEN, (name,)).fetchone() == (True,):
            needs.append("grants")
        live: dict[str, Any] = {"name": name, "owner": owner[0], "server": record["server"],
                                "logins": {role: known["secret"] for role, known in logins.items()}}
        return live | ({"needs": needs} if needs else {})

    def apply(self, name: str, spec: Attributes, context: Context) -> None:
        """Make the roles and the database, give rotated logins their new passwords."""
        server, owner, logins = str(spec["server"]), str(spec["owner"]), spec["logins"]
        assert isinstance(logins, Mapping)
        with self._access.administer(server) as session:
            known = dict(session.execute(_LOGINS).fetchall())
            for role, secret in sorted(logins.items()):
                self._login(session, role, str(secret), creates=role == owner, known=known.get(role))
            for role in sorted(set(known) - set(logins)):
                session.execute(sql.SQL("ALTER ROLE {} NOLOGIN; COMMENT ON ROLE {} IS NULL").format(
                    sql.Identifier(role), sql.Identifier(role)))
            _database(session, name, owner)
            _grants(session, name, logins)
        self._home.save_record(self.type, name, spec)

    def _login(self, session: Session, role: str, secret: str, *, creates: bool, known: str | None) -> None:
        password = self._secrets.get(secret)
        comment = json.dumps({"secret": secret, "fingerprint": self._secrets.fingerprint(password)}, sort_keys=True)
        if known == comment:
            return
        if session.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is None:
            session.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        session.execute(sql.SQL("ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOREPLICATION NOBYPASSRLS {} PASSWORD {}")
                        .format(sql.Identifier(role), sql.SQL("CREATEROLE" if creates else "NOCREATEROLE"),
                                sql.Literal(cluster.verifier(password))))
        # Last: without it the login counts as not done.
        session.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(sql.Identifier(role), sql.Literal(comment)))

    def _fingerprint(self, secret: str) -> str | None:
        described = self._secrets.describe(secret)
        return None if described is None else described.fingerprint

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
            with self._access.administer(record["server"]) as session:
                session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
                # Logins that another database on this server still needs stay; they go with the server.
                with suppress(psycopg.errors.DependentObjectsStillExist):
                    _drop_roles(session, record["owner"])
        except (Refused, psycopg.OperationalError):
            pass
        self._home.drop_record(self.type, name)

    def foreign(self, name: str) -> Sequence[Foreign]:
        """Nothing; what was made in its schema by hand is told by the schema's guardrail."""
        return []

    def inventory(self) -> Sequence[str]:
        """The recorded databases."""
        return self._home.records(self.type)


def _database(session: Session, name: str, owner: str) -> None:
    if session.execute(_DATABASE, (name,)).fetchone() is None:
        session.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner)))
    session.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(name), sql.Identifier(owner)))


def _grants(session: Session, name: str, logins: Mapping[str, Any]) -> None:
    database = sql.Identifier(name)
    session.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    for role in sorted(logins):
        session.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, sql.Identifier(role)))


def _drop_roles(session: Session, owner: str) -> None:
    if session.execute("SELECT FROM pg_roles WHERE rolname = %s", (owner,)).fetchone() is None:
        return
    roles = [row[0] for row in session.execute(_LOGINS)]
    roles += [row[0] for row in session.execute(_MADE_BY, (owner,))]
    for role in sorted(set(roles) - {owner}):
        session.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
    session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(owner)))
