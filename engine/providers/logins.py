"""The logins of a database, whoever runs its server: roles, passwords, and who may connect.

Owns: their SQL, for a superuser as for the lesser administrator that a cloud gives. Must not: know where a server is,
or the schema (migrations do). A login's role carries the name and the fingerprint of its secret in its comment, so that
a rotation is seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import Connection, pq, sql

from engine.providers.base import SecretStore

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


def live(session: Session, name: str, secrets: SecretStore) -> dict[str, Any] | None:
    """{owner, logins, needs?} of the database, or None where there is none. `needs`: `login:<role>` where its secret
    is another by now, `grants` where everybody may connect."""
    owner = session.execute(_DATABASE, (name,)).fetchone()
    if owner is None:
        return None
    logins = {role: json.loads(comment) for role, comment in session.execute(_LOGINS)}
    needs = [f"login:{role}" for role, known in sorted(logins.items())
             if known["fingerprint"] != _fingerprint(secrets, known["secret"])]
    if session.execute(_OPEN, (name,)).fetchone() == (True,):
        needs.append("grants")
    found: dict[str, Any] = {"owner": owner[0], "logins": {role: known["secret"] for role, known in logins.items()}}
    return found | ({"needs": needs} if needs else {})


def ensure(session: Session, name: str, owner: str, logins: Mapping[str, Any], secrets: SecretStore) -> None:
    """Make the roles and the database, give rotated logins their new passwords; what is no login any more loses it."""
    known: dict[str, str] = dict(session.execute(_LOGINS).fetchall())
    for role, secret in sorted(logins.items()):
        _login(session, role, str(secret), secrets, creates=role == owner, known=known.get(role))
    for role in sorted(set(known) - set(logins)):
        session.execute(sql.SQL("ALTER ROLE {} NOLOGIN; COMMENT ON ROLE {} IS NULL").format(
            sql.Identifier(role), sql.Identifier(role)))
    _database(session, name, owner)
    _grants(session, name, logins)


def drop(session: Session, name: str, owner: str) -> None:
    """Drop the database, its logins and the roles that its owner made; raises DependentObjectsStillExist where another
    database on the server needs them."""
    session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    if session.execute("SELECT FROM pg_roles WHERE rolname = %s", (owner,)).fetchone() is None:
        return
    roles = [row[0] for row in session.execute(_LOGINS)]
    roles += [row[0] for row in session.execute(_MADE_BY, (owner,))]
    for role in sorted(set(roles) - {owner}):
        session.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
    session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(owner)))


def verifier(password: str, role: str) -> str:
    """What PostgreSQL stores of a password (SCRAM-SHA-256), made here so that no server log can hold the text."""
    offline = pq.PGconn.connect_start(b"host=127.0.0.1 port=1")
    try:
        return offline.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    finally:
        offline.finish()


def _login(session: Session, role: str, secret: str, secrets: SecretStore, *, creates: bool, known: str | None) -> None:
    password = secrets.get(secret)
    comment = json.dumps({"secret": secret, "fingerprint": secrets.fingerprint(password)}, sort_keys=True)
    if known == comment:
        return
    if session.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is None:
        session.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
    # Only a superuser may even name what only a superuser has.
    least = "NOSUPERUSER NOREPLICATION NOBYPASSRLS" if _is_superuser(session) else ""
    session.execute(sql.SQL("ALTER ROLE {} LOGIN {} NOCREATEDB {} PASSWORD {}").format(
        sql.Identifier(role), sql.SQL(least), sql.SQL("CREATEROLE" if creates else "NOCREATEROLE"),
        sql.Literal(verifier(password, role))))
    # Last: without it the login counts as not done.
    session.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(sql.Identifier(role), sql.Literal(comment)))


def _database(session: Session, name: str, owner: str) -> None:
    if not _is_superuser(session):
        # Who gives a database to a role has to be able to become that role.
        session.execute(sql.SQL("GRANT {} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE").format(sql.Identifier(owner)))
    found = session.execute(_DATABASE, (name,)).fetchone()
    if found is None:
        session.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner)))
    elif found[0] != owner:
        session.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(name), sql.Identifier(owner)))


def _grants(session: Session, name: str, logins: Mapping[str, Any]) -> None:
    database = sql.Identifier(name)
    session.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    for role in sorted(logins):
        session.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, sql.Identifier(role)))


def _is_superuser(session: psycopg.Connection[Any]) -> bool:
    return session.info.parameter_status("is_superuser") == "on"


def _fingerprint(secrets: SecretStore, secret: str) -> str | None:
    described = secrets.describe(secret)
    return None if described is None else described.fingerprint
