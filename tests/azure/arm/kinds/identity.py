"""Microsoft.ManagedIdentity identities and Microsoft.Authorization: role assignments, role definitions, locks."""

from __future__ import annotations

import re
import uuid
from typing import Any

from tests.azure.arm.authority import Principal
from tests.azure.arm.clock import stamp
from tests.azure.arm.errors import ArmError, bad
from tests.azure.arm.paths import Target
from tests.azure.arm.resource import Put, ResourceType
from tests.azure.arm.state import Resource
from tests.azure.arm.web import Answer, Request

ROLES = {
    "Owner": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Reader": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    "User Access Administrator": "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
    "Key Vault Administrator": "00482a5a-887f-4fb3-b363-3b7fe8e74483",
    "Key Vault Secrets Officer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "AcrPush": "8311e382-0749-4cb8-b61a-304f252e45ec",
    "Azure Event Hubs Data Owner": "f526a384-b230-433a-b45c-95f59c4a2dec",
    "Azure Event Hubs Data Receiver": "a638d3c7-ab3a-418d-83e6-5f17a39d4fde",
    "Azure Event Hubs Data Sender": "2b629674-e913-4c01-ae53-ef4638d8f975",
    "Monitoring Reader": "43d0d8ad-25c7-4714-9337-8ba259a9fe05",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Log Analytics Reader": "73c42c96-874c-492b-b04d-ab87d138a893",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
}
_FILTER = re.compile(r"principalId eq '([^']+)'", re.IGNORECASE)


class Identities(ResourceType):
    type = "Microsoft.ManagedIdentity/userAssignedIdentities"
    version = "2024-11-30"
    shows_state = False

    def fill(self, resource: Resource) -> None:
        if "principal" not in resource.private:
            principal = Principal(str(uuid.uuid4()), str(uuid.uuid4()), actions=())
            self.arm.directory.principals[principal.client_id] = principal
            resource.private["principal"] = principal
            resource.private["known"] = self.state.clock.due(self.arm.identity_lag)
        resource.body.setdefault("tags", {})
        resource.body["location"] = resource.body["location"].replace(" ", "").lower()

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        principal = resource.private["principal"]
        return body | {"properties": {"tenantId": self.arm.tenant, "principalId": principal.object_id,
                                      "clientId": principal.client_id, "isolationScope": "None"}}

    def removed(self, resource: Resource) -> None:
        self.arm.directory.principals.pop(resource.private["principal"].client_id, None)

    def principal(self, identity_id: str) -> Principal:
        """The principal of an identity's id; 400 where there is none."""
        found = self.state.get(identity_id)
        if found is None or found.kind is not self:
            raise bad("FailedIdentityOperation", f"Identity operation for resource failed: '{identity_id}' was not "
                      "found.", "identity")
        principal = found.private["principal"]
        assert isinstance(principal, Principal)
        return principal


class FederatedCredentials(ResourceType):
    type = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"
    version = "2024-11-30"
    shows_state = False


class Assignments(ResourceType):
    """A role works `arm.role_lag` seconds after its assignment."""

    type = "Microsoft.Authorization/roleAssignments"
    version = "2022-04-01"
    updated = 201
    shows_state = False
    tracked = False

    def prepare(self, put: Put) -> None:
        properties, name = put.properties, put.target.names[-1]
        try:
            uuid.UUID(name)
        except ValueError:
            raise bad("InvalidRoleAssignmentId", f"The role assignment ID '{name}' is not valid. The role assignment ID"
                      " must be a GUID.") from None
        role = properties["roleDefinitionId"].rsplit("/", 1)[-1].lower()
        if role not in ROLES.values():
            raise bad("RoleDefinitionDoesNotExist", f"The specified role definition with ID '{role}' does not exist.")
        self._check_principal(properties)
        if put.old is not None:
            if put.old.private["key"] != _key(put):
                raise ArmError(409, "RoleAssignmentUpdateNotPermitted", "Tenant ID, application ID, principal ID, and "
                               "scope are not allowed to be updated.")
            return
        for other in self.state.of_type(self.type):
            if other.private.get("key") == _key(put):
                raise ArmError(409, "RoleAssignmentExists", "The role assignment already exists.")

    def _check_principal(self, properties: dict[str, Any]) -> None:
        wanted = properties["principalId"].lower()
        known = {p.object_id for p in self.arm.directory.principals.values()}
        kind = self.arm.types.by_name[Identities.type.lower()]
        young = {r.private["principal"].object_id for r in self.state.of_type(kind.type)
                 if self.state.clock.now() < r.private["known"]}
        if wanted not in known or (wanted in young and properties.get("principalType") != "ServicePrincipal"):
            raise bad("PrincipalNotFound", f"Principal {wanted.replace('-', '')} does not exist in the directory "
                      f"{self.arm.tenant}. Check that you have the correct principal ID. If you are creating this "
                      "principal and then immediately assigning a role, this error might be related to a replication "
                      "delay. In this case, set the role assignment principalType property to a value, such as "
                      "ServicePrincipal, User, or Group.")

    def _write(self, put: Put) -> Answer:
        answer = super()._write(put)
        resource = self.state.get(put.target.id)
        assert resource is not None
        resource.private["key"] = _key(put)
        return answer

    def fill(self, resource: Resource) -> None:
        resource.private.setdefault("created", stamp())
        resource.private.setdefault("works", self.state.clock.due(self.arm.role_lag))
        resource.properties.setdefault("principalType", "ServicePrincipal")

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        scope = resource.id[:resource.id.lower().rfind("/providers/")]
        role = body["properties"]["roleDefinitionId"].rsplit("/", 1)[-1]
        body["properties"] |= {
            "scope": scope, "createdOn": resource.private["created"], "updatedOn": resource.private["created"],
            "roleDefinitionId": f"{self.arm.scope}/providers/Microsoft.Authorization/roleDefinitions/{role}",
        }
        return body

    def list(self, target: Target) -> Answer:
        found = [r for r in self.state.of_type(self.type) if self.visible(r) and (
            r.id.lower().startswith(target.scope.lower() + "/") or target.scope.lower().startswith(
                r.id[:r.id.lower().rfind("/providers/")].lower()))]
        return Answer(200, {"value": [self.shown(resource) for resource in found]})

    def allows(self, principal: Principal, roles: set[str], resource_id: str) -> bool:
        """Whether one of the roles (by name) works for a principal on a resource now."""
        wanted = {ROLES[role] for role in roles}
        return any(
            r.properties["principalId"].lower() == principal.object_id
            and r.properties["roleDefinitionId"].rsplit("/", 1)[-1].lower() in wanted
            and (resource_id.lower() + "/").startswith(r.id[:r.id.lower().rfind("/providers/")].lower() + "/")
            and self.state.clock.now() >= r.private["works"]
            for r in self.state.of_type(self.type)
        )

    def _check_parent(self, target: Target) -> None:
        if target.scope.lower() != self.arm.scope.lower() and self.state.get(target.scope) is None:
            raise ArmError(404, "ResourceNotFound", f"The resource '{target.scope}' was not found.")


def _key(put: Put) -> tuple[str, str, str]:
    return (put.target.scope.lower(), put.properties["principalId"].lower(),
            put.properties["roleDefinitionId"].rsplit("/", 1)[-1].lower())


class Definitions(ResourceType):
    type = "Microsoft.Authorization/roleDefinitions"
    version = "2022-04-01"

    def list(self, target: Target) -> Answer:
        return Answer(200, {"value": [self._role(name) for name in ROLES]})

    def get(self, target: Target) -> Answer:
        for name, number in ROLES.items():
            if number == target.names[-1].lower():
                return Answer(200, self._role(name))
        raise ArmError(404, "RoleDefinitionDoesNotExist", f"The role definition '{target.names[-1]}' does not exist.")

    def _role(self, name: str) -> dict[str, Any]:
        return {"id": f"{self.arm.scope}/providers/{self.type}/{ROLES[name]}", "name": ROLES[name], "type": self.type,
                "properties": {"roleName": name, "type": "BuiltInRole", "assignableScopes": ["/"], "permissions": []}}

    def put(self, target: Target, request: Request) -> Answer:
        raise ArmError(405, "MethodNotAllowed", "Custom roles are not served here.")


class ManagementLocks(ResourceType):
    type = "Microsoft.Authorization/locks"
    version = ("2020-05-01", "2016-09-01")
    shows_state = False
    tracked = False

    def _check_parent(self, target: Target) -> None:
        if target.scope.lower() != self.arm.scope.lower() and self.state.get(target.scope) is None:
            raise ArmError(404, "ResourceNotFound", f"The resource '{target.scope}' was not found.")
