"""A real PostgreSQL behind a flexible server: TLS, an administrator who is no superuser, the firewall's rules.

Owns the server's process and folder. It is reached on port 5432 of the address that ARM tells.
"""

from __future__ import annotations

import shutil
import tempfile
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tests.azure.arm.planes.forward import Forwarder
from tests.support.postgres import PostgresServer

if TYPE_CHECKING:
    from tests.azure.arm.server import ArmServer


class _Server(PostgresServer):
    def secure(self, chain: Path, key: Path) -> None:
        """TLS alone, as `require_secure_transport` has it; the server's own superuser comes in without."""
        for name, source in (("server.crt", chain), ("server.key", key)):
            target = self.data / name
            shutil.copyfile(source, target)
            target.chmod(0o600)
            if self._run_as is not None:
                shutil.chown(target, self._run_as)
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write("ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\nfsync = off\n")
        hba = "host all postgres 127.0.0.1/32 scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
        (self.data / "pg_hba.conf").write_text(hba)


class Cluster:
    """Started by the operation that creates the server; ended with it."""

    def __init__(self, arm: ArmServer, host: str, resource_id: str) -> None:
        self.arm, self.host, self.resource_id = arm, host, resource_id
        self._server: _Server | None = None
        self._forwarder: Forwarder | None = None

    def start(self, login: str, password: str) -> None:
        folder = Path(tempfile.mkdtemp(prefix="txplan-arm-pg-"))
        server = self._server = _Server(folder)
        server._initialise()
        server.secure(*self.arm.certificates.leaf(self.host))
        server.start()
        with self._admin() as conn:
            conn.execute("CREATE ROLE azure_pg_admin CREATEDB CREATEROLE NOLOGIN")
            for role in ("pg_monitor", "pg_signal_backend", "pg_checkpoint", "pg_read_all_stats"):
                conn.execute(sql.SQL("GRANT {} TO azure_pg_admin WITH ADMIN OPTION").format(sql.Identifier(role)))
            conn.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE IN ROLE azure_pg_admin PASSWORD {}").format(
                sql.Identifier(login), sql.Literal(password)))
            for name in ("azure_maintenance", "azure_sys"):
                conn.execute(sql.SQL("CREATE DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
        self._forwarder = Forwarder(self.host, 5432, ("127.0.0.1", server.port), self._allowed)

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
        if self._forwarder is not None:
            self._forwarder.close()
        if self._server is not None:
            self._server.stop()
            shutil.rmtree(self._server.folder, ignore_errors=True)
