"""Azure's own SDK clients, pointed at the ARM server, and a bare one for what no SDK would send."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import requests
from azure.identity import ClientSecretCredential

from tests.azure.arm import ArmServer
from tests.azure.arm.authority import Principal
from tests.azure.arm.kinds.identity import ROLES

T = TypeVar("T")
VERSIONS = {
    "resources": "2025-04-01", "postgres": "2025-08-01", "eventhub": "2026-01-01", "keyvault": "2026-02-01",
    "registry": "2025-11-01", "logs": "2025-07-01", "insights": "2020-02-02", "msi": "2024-11-30",
    "authorization": "2022-04-01", "app": "2026-01-01", "locks": "2020-05-01",
}


def credential(arm: ArmServer, principal: Principal | None = None) -> ClientSecretCredential:
    """azure-identity as it is, with the server's authority."""
    who = principal or arm.owner
    return ClientSecretCredential(arm.tenant, who.client_id, who.secret, authority=arm.authority,
                                  disable_instance_discovery=True, connection_verify=str(arm.ca_bundle))


def client(arm: ArmServer, kind: type[T], version: str, **options: Any) -> T:
    """A management client of the SDK, of a pinned api-version."""
    settings: dict[str, Any] = {
        "base_url": arm.endpoint, "credential_scopes": [f"{arm.endpoint}/.default"], "api_version": version,
        "connection_verify": str(arm.ca_bundle), "polling_interval": 0.01, **options}
    return kind(credential(arm), arm.subscription, **settings)  # type: ignore[call-arg]


class Bare:
    """Requests as they are, with a good token; nothing is retried."""

    def __init__(self, arm: ArmServer, principal: Principal | None = None) -> None:
        self.arm = arm
        self.token = arm.directory.token(principal or arm.owner, arm.endpoint)
        self.session = requests.Session()
        # The environment's own bundle would win over the session's.
        self.session.trust_env = False
        self.session.verify = str(arm.ca_bundle)

    def __call__(self, method: str, path: str, body: Any = None, version: str = "",
                 **headers: str) -> requests.Response:
        """`path` may be an URL, or begin with `/` (below the subscription where it names none)."""
        if path.startswith("/") and not path.lower().startswith("/subscriptions"):
            path = f"{self.arm.scope}{path}"
        url = path if path.startswith("https:") else f"{self.arm.endpoint}{path}"
        return self.session.request(
            method, url, params={"api-version": version} if version else None, timeout=30,
            data=None if body is None else json.dumps(body),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **headers})

    def group(self, name: str = "rg", location: str = "westus2") -> str:
        """A resource group's id."""
        made = self("PUT", f"/resourcegroups/{name}", {"location": location}, VERSIONS["resources"])
        assert made.status_code in (200, 201), made.text
        return str(made.json()["id"])

    def create(self, resource_id: str, body: Any, version: str) -> dict[str, Any]:
        """PUT, and wait for the end of its operation."""
        made = self("PUT", resource_id, body, version)
        assert made.status_code in (200, 201, 202), made.text
        while "Azure-AsyncOperation" in made.headers:
            operation = self("GET", made.headers["Azure-AsyncOperation"]).json()
            assert operation["status"] != "Failed", operation
            if operation["status"] == "Succeeded":
                break
            time.sleep(0.01)
        return self.settled(resource_id, version)

    def role(self, scope: str, role: str, principal: str) -> None:
        """Assign a built-in role, by its name, to a principal."""
        name = uuid.uuid5(uuid.NAMESPACE_URL, f"{scope}{role}{principal}")
        answer = self("PUT", f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}", {"properties": {
            "roleDefinitionId": f"{self.arm.scope}/providers/Microsoft.Authorization/roleDefinitions/{ROLES[role]}",
            "principalId": principal, "principalType": "ServicePrincipal"}}, VERSIONS["authorization"])
        assert answer.status_code == 201, answer.text

    def settled(self, resource_id: str, version: str) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = self("GET", resource_id, version=version)
            if found.status_code == 200:
                body: dict[str, Any] = found.json()
                state = body.get("properties", {}).get("provisioningState") or body["properties"].get("state", "Ready")
                if state in ("Succeeded", "Ready"):
                    return body
                assert state != "Failed", body
            time.sleep(0.01)
        raise AssertionError(f"{resource_id} did not settle")


@contextmanager
def refused(status: int, code: str) -> Iterator[None]:
    """The SDK raises an HttpResponseError of this status and ARM code."""
    from azure.core.exceptions import HttpResponseError

    try:
        yield
    except HttpResponseError as problem:
        found = problem.error.code if problem.error is not None else None
        assert (problem.status_code, found) == (status, code), problem
    else:
        raise AssertionError(f"{code} was expected")
