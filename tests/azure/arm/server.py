"""The server: its life, and the road of a request from the record to its resource type.

Owns the listeners, the folder and what runs behind resources. What a type does is in `kinds/`, what stands behind it in
`planes/`.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.azure.arm.authority import Authority, Principal
from tests.azure.arm.certificates import Authority as Certificates
from tests.azure.arm.clock import Clock
from tests.azure.arm.desk import Desk
from tests.azure.arm.faults import Faults
from tests.azure.arm.kinds import Types
from tests.azure.arm.kinds.identity import Assignments, Identities
from tests.azure.arm.kinds.networks import Networks
from tests.azure.arm.kinds.registries import Registries
from tests.azure.arm.locks import Locks
from tests.azure.arm.operations import Operations
from tests.azure.arm.planes.blobs import Blobs
from tests.azure.arm.planes.gateway import Loop
from tests.azure.arm.planes.logs import ConsoleLogs
from tests.azure.arm.record import Record
from tests.azure.arm.router import Router
from tests.azure.arm.state import State
from tests.azure.arm.web import Listener

PROVIDERS = ("Microsoft.App", "Microsoft.Authorization", "Microsoft.ContainerRegistry", "Microsoft.DBforPostgreSQL",
             "Microsoft.EventHub", "Microsoft.Insights", "Microsoft.KeyVault", "Microsoft.ManagedIdentity",
             "Microsoft.Network", "Microsoft.OperationalInsights", "Microsoft.Resources", "Microsoft.AlertsManagement")
ALWAYS = {"microsoft.resources", "microsoft.authorization"}


class ArmServer:
    """See ../README.md for what tests may use."""

    def __init__(self, folder: Path, scale: float, registered: bool, real: bool) -> None:
        self.folder, self.real = folder, real
        self.clock, self.record, self.faults = Clock(scale), Record(), Faults()
        self.subscription, self.tenant = str(uuid.uuid4()), str(uuid.uuid4())
        self.latency = 0.0
        self.inside = False
        self.limit: tuple[int, float] | None = None
        self.read_lag = 0.0
        self.role_lag = 0.0
        self.identity_lag = 20.0
        self.taken: set[tuple[str, str]] = set()
        self.uploads: dict[str, bytes] = {}
        self.telemetry: list[dict[str, Any]] = []
        self.signature = secrets.token_hex(16)
        self.registered = set(ALWAYS) | ({name.lower() for name in PROVIDERS} if registered else set())
        self.certificates = Certificates(folder)
        self.ca_bundle = self.certificates.bundle
        self.directory = Authority(self.tenant)
        self.owner = self.directory.add()
        self.state = State(self.clock)
        self.locks, self.operations, self.types = Locks(self), Operations(self), Types(self)
        self.networks, self.loop, self.console = Networks(self), Loop(), ConsoleLogs()
        self.desk = Desk(self, Router(self))
        self._main = Listener(self.desk.handle, self.certificates.context("127.0.0.1"))
        self.endpoint = self.authority = self._main.url
        self.logs_endpoint = f"{self.endpoint}/v1"
        self._blobs: Blobs | None = None

    @classmethod
    @contextmanager
    def running(cls, *, scale: float = 0.001, registered: bool = True, real: bool = False) -> Iterator[ArmServer]:
        """A server for the block. `registered`: whether the subscription has the resource providers registered;
        `real`: whether PostgreSQL, the broker, apps and jobs run behind their resources."""
        folder = Path(tempfile.mkdtemp(prefix="txplan-arm-"))
        server = cls(folder, scale, registered, real)
        try:
            yield server
        finally:
            server.close()

    def close(self) -> None:
        """End all that runs, and remove the folder."""
        with self.state.lock:
            resources = [*self.state.resources.values()]
        with ExitStack() as stack:  # Whatever fails, the rest is ended too.
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            stack.callback(self._main.close)
            stack.callback(self.loop.close)
            stack.callback(self.state.close)
            if self._blobs is not None:
                stack.callback(self._blobs.close)
            for resource in resources:
                stack.callback(resource.kind.removed, resource)

    def environment(self, principal: Principal | None = None) -> Mapping[str, str]:
        """What azure-identity and TLS clients read, for the subscription's owner or another principal."""
        who = principal or self.owner
        bundle = str(self.ca_bundle)
        return {"AZURE_TENANT_ID": self.tenant, "AZURE_CLIENT_ID": who.client_id, "AZURE_CLIENT_SECRET": who.secret,
                "REQUESTS_CA_BUNDLE": bundle, "SSL_CERT_FILE": bundle}

    @property
    def scope(self) -> str:
        """The subscription's id."""
        return f"/subscriptions/{self.subscription}"

    def restrict(self, actions: tuple[str, ...]) -> None:
        """What the owner's roles allow from now on, such as `("*/read",)`."""
        self.owner.actions = actions

    def lock(self, scope: str, level: str = "CanNotDelete", name: str = "keep") -> None:
        """A management lock, as somebody else sets it."""
        self.desk.seed(f"{scope}/providers/Microsoft.Authorization/locks/{name}", {"properties": {"level": level}})

    def deny(self, scope: str) -> None:
        """A platform's deny assignment."""
        self.locks.deny(scope)

    def manage(self, group: str, by: str) -> None:
        """Make a resource group the platform's."""
        with self.state.lock:
            found = self.state.get(f"{self.scope}/resourceGroups/{group}")
            assert found is not None, group
            found.body["managedBy"] = by

    def push(self, login_server: str, repository: str, content: str = "") -> str:
        """Put the streamapp of this checkout into a registry, as CI would; returns the digest."""
        with self.state.lock:
            kind = self.registries
            found = next(r for r in self.state.of_type(kind.type) if r.private["server"] == login_server)
            return kind.push(found, repository, content)

    @property
    def blobs(self) -> Blobs:
        """A storage account beside the subscription's resources, there from its first use."""
        if self._blobs is None:
            self._blobs = Blobs(self)
        return self._blobs

    @property
    def assignments(self) -> Assignments:
        """The role assignments, for data planes that ask who may."""
        kind = self.types.by_name[Assignments.type.lower()]
        assert isinstance(kind, Assignments)
        return kind

    @property
    def identities(self) -> Identities:
        kind = self.types.by_name[Identities.type.lower()]
        assert isinstance(kind, Identities)
        return kind

    @property
    def registries(self) -> Registries:
        kind = self.types.by_name[Registries.type.lower()]
        assert isinstance(kind, Registries)
        return kind
