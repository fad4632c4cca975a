"""A real broker behind a namespace: port 9093, SASL_SSL, PLAIN with a connection string or OAUTHBEARER.

Owns the broker's process (an engine of the local target) and the gateway before it, which asks who comes in and lets
nobody do what its rule does not allow. The broker has an address as long as the gateway's and the same port, so that
its own address is replaced in answers byte by byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic  # type: ignore[attr-defined]

from engine.providers.local.brokers.engine import packaged_binary
from tests.azure.arm import addresses
from tests.azure.arm.planes import frames, processes
from tests.azure.arm.planes.gateway import Gateway, first_of

if TYPE_CHECKING:
    from tests.azure.arm.server import ArmServer

PORT = 9093
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SEND = {frames.PRODUCE}
MANAGE = {frames.CREATE_TOPICS, 20, 37}
OPEN = {frames.METADATA, frames.VERSIONS, frames.COORDINATOR, 2, 22}
"""Listing, looking up and producer ids are open to every rule; the rest is Listen's."""
_SENDERS = {"Azure Event Hubs Data Sender", "Azure Event Hubs Data Owner"}
_RECEIVERS = {"Azure Event Hubs Data Receiver", "Azure Event Hubs Data Owner"}


class Broker:
    """Started by the operation that creates the namespace."""

    def __init__(self, arm: ArmServer, host: str, resource_id: str) -> None:
        self.arm, self.host, self.resource_id = arm, host, resource_id
        self.refusals: list[str] = []
        self._inner = _same_length(host)
        self._folder = tempfile.TemporaryDirectory(prefix="txplan-arm-", ignore_cleanup_errors=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._gateway: Gateway | None = None

    def start(self) -> None:
        folder = Path(self._folder.name)
        binary = packaged_binary("noida", "noida_db", "noida-db", "noida-db")
        command = [binary, "start", "--only", "kafka", "--host", self._inner, "--kafka-port", str(PORT),
                   "--data-dir", str(folder / "data")]
        self._process = processes.start(command, {}, folder, folder / "log")
        deadline = time.monotonic() + 60
        while True:
            try:
                self._admin().list_topics(timeout=2)
                break
            except KafkaException:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((folder / "log").read_text()[-2000:]) from None
        context = self.arm.certificates.context(self.host)
        self._gateway = self.arm.loop.open(self.host, PORT, self._serve, context)

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": f"{self._inner}:{PORT}", "log_level": 0})

    def ensure(self, hub: str, partitions: int, hours: int) -> None:
        """A topic as the hub says."""
        admin, retention = self._admin(), str(hours * 3_600_000)
        if hub not in admin.list_topics(timeout=10).topics:
            made = admin.create_topics([NewTopic(hub, partitions, 1, config={"retention.ms": retention})])
            made[hub].result(20)
            return
        resource = ConfigResource(ConfigResource.Type.TOPIC, hub, set_config={"retention.ms": retention})
        next(iter(admin.alter_configs([resource]).values())).result(20)

    def drop(self, hub: str) -> None:
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(KafkaException):
                self._admin().delete_topics([hub])[hub].result(20)

    def stop(self) -> None:
        if self._gateway is not None:
            self._gateway.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._reachable():
            return
        server = await asyncio.open_connection(self._inner, PORT)
        try:
            rights = await self._let_in((reader, writer), server)
            if rights:
                asked: dict[int, int] = {}
                await first_of(self._requests(reader, server[1], rights, asked),
                               self._answers(server[0], writer, asked))
        finally:
            server[1].close()

    def _reachable(self) -> bool:
        """Whether the namespace is public, or an endpoint leads to it."""
        with self.arm.state.lock:
            namespace = self.arm.state.get(self.resource_id)
            public = namespace is not None and namespace.properties["publicNetworkAccess"].lower() == "enabled"
            return public or bool(self.arm.networks.endpoints_of(self.resource_id))

    async def _let_in(self, client: Ends, server: Ends) -> set[str] | None:
        """The rights of who comes in; None where nobody may."""
        wanted = ""
        while True:
            frame = await frames.read(client[0])
            key, version, correlation = frames.header(frame)
            if key == frames.VERSIONS:
                await frames.write(server[1], frame)
                await frames.write(client[1], frames.with_sasl(await frames.read(server[0]), version))
            elif key == frames.HANDSHAKE:
                wanted = frames.mechanism(frame)
                known = wanted in ("PLAIN", "OAUTHBEARER")
                await frames.write(client[1], frames.handshake_answer(correlation, known))
            elif key == frames.AUTHENTICATE:
                rights = self._rights(wanted, frames.credentials(frame))
                refused = None if rights else "Unauthorized access. Invalid credentials"
                await frames.write(client[1], frames.authenticate_answer(correlation, version, refused))
                return rights
            else:
                return None

    def _rights(self, mechanism: str, given: bytes) -> set[str] | None:
        with self.arm.state.lock:
            namespace = self.arm.state.get(self.resource_id)
            if namespace is None:
                return None
            if mechanism == "OAUTHBEARER":
                return self._by_token(given)
            if namespace.properties["disableLocalAuth"]:
                return None
            _, user, password = given.decode().split("\0")
            if user != "$ConnectionString":
                return None
            kind = self.arm.types.by_name["microsoft.eventhub/namespaces/authorizationrules"]
            rules = [rule for rule in self.arm.state.under(self.resource_id)
                     if rule.kind.type.lower().endswith("/authorizationrules")]
            for rule in rules:
                keys = kind.keys(rule)  # type: ignore[attr-defined]
                if any(hmac.compare_digest(password, keys[f"{which}ConnectionString"])
                       for which in ("primary", "secondary")):
                    return set(rule.properties["rights"])
        return None

    def _by_token(self, given: bytes) -> set[str] | None:
        token = given.decode().partition("auth=Bearer ")[2].partition("\x01")[0]
        claims = self.arm.directory.claims(token)
        if claims is None or claims["aud"].rstrip("/") != f"https://{self.host}":
            return None
        who = self.arm.directory.principals[claims["appid"]]
        rights = {"Send"} if self.arm.assignments.allows(who, _SENDERS, self.resource_id) else set()
        return rights | ({"Listen"} if self.arm.assignments.allows(who, _RECEIVERS, self.resource_id) else set())

    async def _requests(self, client: asyncio.StreamReader, server: asyncio.StreamWriter, rights: set[str],
                        asked: dict[int, int]) -> None:
        while True:
            frame = await frames.read(client)
            key, _, correlation = frames.header(frame)
            needed = "Send" if key in SEND else "Manage" if key in MANAGE else None if key in OPEN else "Listen"
            if needed is not None and needed not in rights:
                self.refusals.append(f"api key {key} wants {needed}")
                return
            asked[correlation] = key
            await frames.write(server, frame)

    async def _answers(self, server: asyncio.StreamReader, client: asyncio.StreamWriter, asked: dict[int, int]) -> None:
        inner, outer = self._inner.encode(), self.host.encode()
        while True:
            frame = await frames.read(server)
            key = asked.pop(struct.unpack_from(">i", frame)[0], None)
            if key in (frames.METADATA, frames.COORDINATOR, frames.CLUSTER):
                frame = frame.replace(inner, outer)
            await frames.write(client, frame)


def _same_length(host: str) -> str:
    while True:
        found = addresses.fresh(PORT)
        if len(found) == len(host):
            return found
