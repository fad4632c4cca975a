"""`vault` {name, tags, location, soft_delete_days, public_network_access}: Key Vault with RBAC.

A deleted vault keeps its name: it is recovered or purged, as the manifest says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.model.value import Attributes
from engine.providers.azure.resource import AzureType
from engine.providers.base import Context, Progress


class VaultType(AzureType):
    """See the module."""

    type = "vault"
    path = "Microsoft.KeyVault/vaults/{name}"
    api = "2026-02-01"
    kind = "Microsoft.KeyVault/vaults"
    immutable = frozenset({"location", "soft_delete_days"})

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """Roles decide, no access policies; a soft-deleted namesake is dealt with first."""
        recover = self.read(name) is None and self._deleted(name) and self._taken(name, context)
        properties = {
            "tenantId": self.site.tenant or self.arm.credential.principal().tenant,
            "sku": {"family": "A", "name": "standard"}, "enableRbacAuthorization": True, "accessPolicies": [],
            "enableSoftDelete": True, "softDeleteRetentionInDays": spec["soft_delete_days"],
            "publicNetworkAccess": spec["public_network_access"]}
        return {"properties": properties | ({"createMode": "recover"} if recover else {})}

    def attributes(self, name: str, live: Mapping[str, Any]) -> dict[str, Any]:
        """How long it keeps what was deleted, and who reaches it."""
        properties = live["properties"]
        return {"soft_delete_days": properties.get("softDeleteRetentionInDays"),
                "public_network_access": properties.get("publicNetworkAccess") or "Enabled"}

    def needs(self, name: str, live: Mapping[str, Any]) -> list[str]:
        """Access by roles alone."""
        return [] if live["properties"].get("enableRbacAuthorization") else ["access by roles"]

    def _deleted(self, name: str) -> bool:
        return self.arm.get(self._grave(name), self.api) is not None

    def _taken(self, name: str, context: Context) -> bool:
        """Make the name free where the manifest says so; whether it is to be recovered."""
        if not self.site.purge:
            context.emit(Progress(note=f"recovering the deleted vault {name}"))
            return True
        context.emit(Progress(note=f"purging the deleted vault {name}"))
        self.arm.put(f"{self._grave(name)}/purge", self.api, {}, context, method="POST")
        return False

    def _grave(self, name: str) -> str:
        return (f"/subscriptions/{self.site.subscription}/providers/Microsoft.KeyVault/locations/"
                f"{self.site.location}/deletedVaults/{name}")


TYPES = (VaultType,)
