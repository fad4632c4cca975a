"""A real PostgreSQL behind a flexible server: TLS alone, an administrator who is no superuser, the firewall's rules.

Owns the server's process and folder. It is reached on port 5432 of the address that ARM tells, through a gateway that
ends TLS, since the packaged PostgreSQL is built without.
"""

from __future__ import annotations

import asyncio
import shutil
import struct
import tempfile
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tests.azure.arm.planes.gateway import Gateway, first_of, pump
from tests.support.postgres import PostgresServer

if TYPE_CHECKING:
    from tests.azure.arm.server import ArmServer

_TLS_REQUEST, _GSS_REQUEST = struct.pack(">ii", 8, 80877103), struct.pack(">ii", 8, 80877104)
_CANCEL = struct.pack(">i", 80877102)


class Cluster:
    """Started by the operation that creates the server; ended with it."""

    def __init__(self, arm: ArmServer, host: str, resource_id: str) -> None:
        self.arm, self.host, self.resource_id = arm, host, resource_id
        self._server: PostgresServer | None = None
        self._gateway: Gateway | None = None

    def start(self, login: str, password: str) -> None:
        folder = Path(tempfile.mkdtemp(prefix="txplan-arm-pg-"))
        server = self._server = PostgresServer(folder)
        server._initialise()
        with (server.data / "postgresql.conf").open("a") as conf:
            conf.write("fsync = off\n")
        server.start()
        with self._admin() as conn:
            conn.execute("CREATE ROLE azure_pg_admin CREATEDB CREATEROLE NOLOGIN")
            for role in ("pg_monitor", "pg_signal_backend", "pg_checkpoint", "pg_read_all_stats"):
                conn.execute(sql.SQL("GRANT {} TO azure_pg_admin WITH ADMIN OPTION").format(sql.Identifier(role)))
            conn.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE IN ROLE azure_pg_admin PASSWORD {}").format(
                sql.Identifier(login), sql.Literal(password)))
            for name in ("azure_maintenance", "azure_sys"):
                conn.execute(sql.SQL("CREATE DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
        self._context = self.arm.certificates.context(self.host)
        self._gateway = self.arm.loop.open(self.host, 5432, self._session)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._server is not None
        if not self._allowed():
            return
        first = await reader.readexactly(8)
        while first == _GSS_REQUEST:
            writer.write(b"N")
            first = await reader.readexactly(8)
        if first == _TLS_REQUEST:
            writer.write(b"S")
            await writer.start_tls(self._context)
            first = b""
        elif first[4:] != _CANCEL:
            writer.write(_refusal("28000", "no pg_hba.conf entry for this host, no encryption"))
            await writer.drain()
            return
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        try:
            inner_writer.write(first)
            await first_of(pump(reader, inner_writer), pump(inner_reader, writer))
        finally:
            inner_writer.close()

    def _admin(self) -> psycopg.Connection[Any]:
        assert self._server is not None
        return psycopg.connect(self._server.bare("postgres").conninfo(), autocommit=True)

    def _allowed(self) -> bool:
        """Whether the firewall lets this machine in: it is Azure's own (0.0.0.0), or 127.0.0.1, or in the network."""
        with self.arm.state.lock:
            server = self.arm.state.get(self.resource_id)
            if server is None:
                return False
            network = server.properties["network"]
            if network.get("delegatedSubnetResourceId") or self.arm.networks.endpoints_of(self.resource_id):
                return True
            if network["publicNetworkAccess"].lower() != "enabled":
                return False
            rules = self.arm.state.of_type("Microsoft.DBforPostgreSQL/flexibleServers/firewallRules", self.resource_id)
            ranges = [(rule.properties["startIpAddress"], rule.properties["endIpAddress"]) for rule in rules
                      if rule.state == "Succeeded"]
        me = int(ip_address("127.0.0.1"))
        return any(int(ip_address(start)) <= me <= int(ip_address(end)) or start == end == "0.0.0.0"
                   for start, end in ranges)

    def set_password(self, login: str, password: str) -> None:
        with self._admin() as conn:
            conn.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(login), sql.Literal(password)))

    def create_database(self, name: str) -> None:
        with self._admin() as conn:
            conn.execute(sql.SQL("CREATE DATABASE {} OWNER azure_pg_admin").format(sql.Identifier(name)))

    def drop_database(self, name: str) -> None:
        if self._server is not None and self._server.process.poll() is None:
            with self._admin() as conn:
                conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def set_parameter(self, name: str, value: str) -> None:
        if name == "require_secure_transport":
            return  # Always on here.
        with self._admin() as conn:
            conn.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
            conn.execute("SELECT pg_reload_conf()")

    def stop(self) -> None:
        if self._gateway is not None:
            self._gateway.close()
        if self._server is not None:
            self._server.stop()
            shutil.rmtree(self._server.folder, ignore_errors=True)


def _refusal(code: str, message: str) -> bytes:
    """PostgreSQL's ErrorResponse."""
    fields = b"".join(kind + text.encode() + b"\0" for kind, text in (
        (b"S", "FATAL"), (b"V", "FATAL"), (b"C", code), (b"M", message))) + b"\0"
    return b"E" + struct.pack(">i", len(fields) + 4) + fields
