"""`role` {name, role, scope, principal}: a role assignment, under a name that is the same on every machine.

The principals are `identity`, the environment's own, and `deployer`, who runs txplan: to put secrets into a vault the
subscription's owner needs a role there too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from engine.model.value import Attributes
from engine.providers.azure.resource import AzureType, last
from engine.providers.base import Context, Foreign

ROLES: Mapping[str, tuple[str, str, str, str]] = {
    "deployer-secrets": ("Key Vault Secrets Officer", "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
                         "Microsoft.KeyVault/vaults/{kv}", "deployer"),
    "identity-secrets": ("Key Vault Secrets User", "4633458b-17de-408a-b874-0445c86b69e6",
                         "Microsoft.KeyVault/vaults/{kv}", "identity"),
    "identity-pull": ("AcrPull", "7f951dda-4ed3-4680-a7ca-43fe172d538d",
                      "Microsoft.ContainerRegistry/registries/{acr}", "identity"),
}
"""Name to (role, its definition's id, scope, principal)."""


class Role(AzureType):
    """See the module."""

    type = "role"
    api = "2022-04-01"
    immutable = frozenset({"role", "scope", "principal"})

    def read(self, name: str) -> dict[str, Any] | None:
        """None also while its principal is not there."""
        principal = self._principal(name)
        return None if principal is None else self.arm.get(self._id(name, principal[0]), self.api)

    def observe(self, name: str) -> Attributes | None:
        """As declared, where it is there: all of it is in its name."""
        if self.read(name) is None:
            return None
        role, _, scope, principal = ROLES[name]
        return {"name": name, "role": role, "principal": principal, "scope": last(scope.format(**self.site.names))}

    def apply(self, name: str, spec: Attributes, context: Context) -> None:
        """Assign it; the principal's type spares a new identity the wait until the directory knows it."""
        principal = self._principal(name)
        assert principal is not None
        definition = (f"/subscriptions/{self.site.subscription}/providers/Microsoft.Authorization/roleDefinitions/"
                      f"{ROLES[name][1]}")
        self.arm.put(self._id(name, principal[0]), self.api, {"properties": {
            "roleDefinitionId": definition, "principalId": principal[0], "principalType": principal[1]}}, context)

    def ready(self, name: str) -> str | None:
        """None where it is there; for the deployer's own, where the vault acts on it, which takes minutes."""
        if self.read(name) is None:
            return "Azure to show it"
        if name == "deployer-secrets":
            from engine.providers.azure.vault import allowed

            return None if allowed(self.ground.secrets) else "the vault to act on the role"
        return None

    def delete(self, name: str, context: Context) -> None:
        """Take it away; one whose principal is gone went with it."""
        principal = self._principal(name)
        if principal is not None:
            self.arm.delete(self._id(name, principal[0]), self.api, context)

    def foreign(self, name: str) -> list[Foreign]:
        """Nothing lies in a role."""
        return []

    def _id(self, name: str, principal: str) -> str:
        scope = self.site.id(ROLES[name][2].format(**self.site.names))
        unique = uuid5(NAMESPACE_URL, f"{scope.lower()}|{principal}|{ROLES[name][1]}")
        return f"{scope}/providers/Microsoft.Authorization/roleAssignments/{unique}"

    def _principal(self, name: str) -> tuple[str, str] | None:
        """(id, type) of who gets it; None where the identity is not there."""
        if ROLES[name][3] == "deployer":
            found = self.arm.credential.principal()
            return found.id, found.type
        identity = self.site.names["id"]
        if identity not in self.ground.identities:
            live = self.arm.get(self.site.id(f"Microsoft.ManagedIdentity/userAssignedIdentities/{identity}"),
                                "2024-11-30")
            if live is None:
                return None
            self.ground.identities[identity] = str(live["properties"]["principalId"])
        return self.ground.identities[identity], "ServicePrincipal"


TYPES = (Role,)
