"""`registry` {name, tags, location, sku, public_network_access}: Container Registry, without its admin user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.model.value import Attributes
from engine.providers.azure.resource import AzureType
from engine.providers.base import Context


class Registry(AzureType):
    """See the module."""

    type = "registry"
    path = "Microsoft.ContainerRegistry/registries/{name}"
    api = "2025-11-01"
    kind = "Microsoft.ContainerRegistry/registries"

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """Images are pulled with an identity, never with a password."""
        return {"sku": {"name": spec["sku"]}, "properties": {
            "adminUserEnabled": False, "publicNetworkAccess": spec["public_network_access"], **self._builds(spec)}}

    def _builds(self, spec: Attributes) -> dict[str, Any]:
        """Its own builds come from outside of the network, so a private one has to let them in."""
        if spec["public_network_access"] == "Enabled":
            return {}
        return {"networkRuleBypassOptions": "AzureServices", "networkRuleBypassAllowedForTasks": True}

    def attributes(self, name: str, live: Mapping[str, Any]) -> dict[str, Any]:
        """Its tier and who reaches it."""
        return {"sku": (live.get("sku") or {}).get("name"),
                "public_network_access": live["properties"].get("publicNetworkAccess") or "Enabled"}

    def needs(self, name: str, live: Mapping[str, Any]) -> list[str]:
        """No admin user."""
        return ["the admin user to be off"] if live["properties"].get("adminUserEnabled") else []


TYPES = (Registry,)
