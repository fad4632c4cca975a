"""A vault's secrets API: HTTPS on an address of its own, a bearer challenge, versions, soft delete.

Owns the secrets, in memory. A caller needs a role at the vault, or an access policy. A private vault answers those who
are in the network (`arm.inside`) over its private endpoint, and the platform, which resolves references to secrets.
"""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.azure.arm import addresses
from tests.azure.arm.authority import Principal
from tests.azure.arm.errors import ArmError
from tests.azure.arm.web import Answer, Listener, Request

if TYPE_CHECKING:
    from tests.azure.arm.server import ArmServer

READERS = {"Key Vault Secrets User", "Key Vault Secrets Officer", "Key Vault Administrator"}
WRITERS = READERS - {"Key Vault Secrets User"}
VERSIONS = {"7.4", "7.5", "7.6", "2025-07-01", "2026-04-01"}


@dataclass
class _Version:
    value: str = field(repr=False)
    attributes: dict[str, Any]
    content_type: str | None
    tags: dict[str, str]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


class Vault:
    """`url` has no trailing slash. `open` and `close` follow the vault's life; secrets outlive a soft delete."""

    def __init__(self, arm: ArmServer, resource_id: str, name: str) -> None:
        self.arm, self.resource_id, self.name = arm, resource_id, name
        self.private = False
        self._lock = threading.Lock()
        self._secrets: dict[str, list[_Version]] = {}
        self._deleted: dict[str, tuple[list[_Version], float]] = {}
        self._listener: Listener | None = None
        self._host, self._port = addresses.fresh(), 0

    @property
    def url(self) -> str:
        return f"https://{self._host}:{self._port}"

    def open(self) -> None:
        if self._listener is None:
            self._listener = Listener(lambda r: self.arm.desk.through("vault", r, self.serve),
                                      self.arm.certificates.context(self._host), self._host, self._port)
            self._port = self._listener.port

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def value(self, principal: Principal, name: str, version: str = "") -> str:
        """A secret for the platform, which reads it as an identity."""
        self._authorise(principal, READERS)
        with self._lock:
            return self._find(name, version).value

    def serve(self, request: Request) -> Answer:
        caller = self._caller(request)
        if request.query.get("api-version") not in VERSIONS:
            raise _problem(400, "BadParameter", "The api-version is missing or not supported.")
        if self.private and not self._reached_inside():
            raise _problem(403, "Forbidden", "Public network access is disabled and request is not from a trusted "
                           "service nor via an approved private link.")
        self._authorise(caller, READERS if request.method == "GET" else WRITERS)
        parts = [part for part in request.path.split("/") if part]
        with self._lock:
            match request.method, parts:
                case "GET", ["secrets"]:
                    return Answer(200, {"value": [self._item(n, v[-1]) for n, v in sorted(self._secrets.items())],
                                        "nextLink": None})
                case "GET", ["deletedsecrets"]:
                    return Answer(200, {"value": [self._gone(n) for n in sorted(self._deleted)], "nextLink": None})
                case "GET", ["secrets", name, "versions"]:
                    return Answer(200, {"value": [self._item(name, v, True) for v in self._secrets.get(name, [])],
                                        "nextLink": None})
                case "GET", ["secrets", name, *version]:
                    return Answer(200, self._shown(name, self._find(name, version[0] if version else "")))
                case "PUT", ["secrets", name]:
                    return self._set(name, request.json())
                case "PATCH", ["secrets", name, *version]:
                    return self._update(name, version[0] if version else "", request.json())
                case "DELETE", ["secrets", name]:
                    return self._delete(name)
                case "GET", ["deletedsecrets", name]:
                    return Answer(200, self._gone(name))
                case "DELETE", ["deletedsecrets", name]:
                    self._gone(name)
                    self._deleted.pop(name.lower())
                    return Answer(204)
                case "POST", ["deletedsecrets", name, "recover"]:
                    self._gone(name)
                    self._secrets[name.lower()] = self._deleted.pop(name.lower())[0]
                    return Answer(200, self._item(name.lower(), self._secrets[name.lower()][-1]))
        raise _problem(404, "NotFound", "There is nothing here.")

    def _reached_inside(self) -> bool:
        """Whether the caller is in the virtual network, and an endpoint leads from there to here."""
        with self.arm.state.lock:
            return self.arm.inside and bool(self.arm.networks.endpoints_of(self.resource_id))

    def _caller(self, request: Request) -> Principal:
        try:
            return self.arm.directory.caller(request, (self.url,), self.arm.authority)
        except ArmError as refusal:
            challenge = f'Bearer authorization="{self.arm.authority}/{self.arm.tenant}", resource="{self.url}"'
            raise _problem(401, "Unauthorized", f"AKV10000: {refusal.message}",
                           {"WWW-Authenticate": challenge}) from None

    def _authorise(self, caller: Principal, roles: set[str]) -> None:
        with self.arm.state.lock:
            vault = self.arm.state.get(self.resource_id)
            if vault is None:
                raise _problem(404, "VaultNotFound", "The vault is gone.")
            if vault.properties.get("enableRbacAuthorization"):
                allowed = self.arm.assignments.allows(caller, roles, self.resource_id)
            else:
                wanted = "get" if roles == READERS else "set"
                allowed = any(policy["objectId"].lower() == caller.object_id and wanted in [
                    p.lower() for p in (policy["permissions"].get("secrets") or [])]
                    for policy in vault.properties["accessPolicies"])
        if not allowed:
            raise ArmError(403, "Forbidden", "Caller is not authorized to perform action on resource.\r\nIf role "
                           "assignments, deny assignments or role definitions were changed recently, please observe "
                           f"propagation time.\r\nCaller: appid={caller.client_id};oid={caller.object_id}\r\nVault: "
                           f"{self.name}", details=[("ForbiddenByRbac", "", "ForbiddenByRbac")])

    def _find(self, name: str, version: str) -> _Version:
        versions = self._secrets.get(name.lower(), [])
        found = next((v for v in reversed(versions) if not version or v.id == version), None)
        if found is None:
            raise _problem(404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault. If "
                           "you recently deleted this secret you may be able to recover it using the correct recovery "
                           "command.")
        if not found.attributes["enabled"]:
            raise _problem(403, "Forbidden", "Operation get is not allowed on a disabled secret.")
        return found

    def _set(self, name: str, body: Any) -> Answer:
        unknown = set(body) - {"value", "contentType", "attributes", "tags"}
        if unknown or not isinstance(body.get("value"), str):
            raise _problem(400, "BadParameter", f"Property {', '.join(sorted(unknown)) or 'value'} has invalid value.")
        if not 1 <= len(name) <= 127 or not all(c.isascii() and (c.isalnum() or c == "-") for c in name):
            raise _problem(400, "BadParameter", f"The name '{name}' is not allowed.")
        if len(body["value"]) > 25_000 or len(body.get("tags") or {}) > 15 or \
                any(len(str(v)) > 256 for v in (body.get("tags") or {}).values()):
            raise _problem(400, "BadParameter", "A value of more than 25k, or tags of more than 15 or 256 characters.")
        if name.lower() in self._deleted:
            raise ArmError(409, "Conflict", f"Secret {name} is currently in a deleted but recoverable state, and its "
                           "name cannot be reused; in this state, the secret can only be recovered or purged.",
                           details=[("ObjectIsDeletedButRecoverable", "", "ObjectIsDeletedButRecoverable")])
        now = int(time.time())
        attributes = {"enabled": True, "created": now, "updated": now, "recoveryLevel": "Recoverable+Purgeable",
                      "recoverableDays": 90}
        attributes |= {k: v for k, v in (body.get("attributes") or {}).items() if v is not None}
        made = _Version(body["value"], attributes, body.get("contentType"), body.get("tags") or {})
        self._secrets.setdefault(name.lower(), []).append(made)
        return Answer(200, self._shown(name, made))

    def _update(self, name: str, version: str, body: Any) -> Answer:
        found = next((v for v in reversed(self._secrets.get(name.lower(), [])) if not version or v.id == version), None)
        if found is None:
            raise _problem(404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault.")
        found.attributes |= {k: v for k, v in (body.get("attributes") or {}).items() if v is not None}
        found.attributes["updated"] = int(time.time())
        if body.get("tags") is not None:
            found.tags = body["tags"]
        return Answer(200, self._item(name, found, True))

    def _delete(self, name: str) -> Answer:
        if name.lower() not in self._secrets:
            raise _problem(404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault.")
        self._deleted[name.lower()] = (self._secrets.pop(name.lower()), time.time())
        return Answer(200, self._gone(name))

    def _item(self, name: str, version: _Version, with_version: bool = False) -> dict[str, Any]:
        tail = f"/{version.id}" if with_version else ""
        found = {"id": f"{self.url}/secrets/{name}{tail}", "attributes": version.attributes}
        return found | ({"tags": version.tags} if version.tags else {}) | (
            {"contentType": version.content_type} if version.content_type else {})

    def _shown(self, name: str, version: _Version) -> dict[str, Any]:
        return self._item(name, version, True) | {"value": version.value}

    def _gone(self, name: str) -> dict[str, Any]:
        if name.lower() not in self._deleted:
            raise _problem(404, "SecretNotFound", f"Deleted Secret not found: {name}")
        versions, at = self._deleted[name.lower()]
        return self._item(name, versions[-1], True) | {
            "recoveryId": f"{self.url}/deletedsecrets/{name}", "deletedDate": int(at),
            "scheduledPurgeDate": int(at) + 90 * 86400}


def _problem(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> ArmError:
    return ArmError(status, code, message, headers=headers)
