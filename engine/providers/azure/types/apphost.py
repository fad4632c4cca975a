"""`apphost` {name, tags, location, public_network_access, subnet}: the Container Apps environment, whose logs go to the
workspace.

With a subnet it has no public address: its apps are reached inside of the network alone, by names of a zone that is
called as Azure calls the environment, and so is made with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.model.value import Attributes
from engine.providers.azure.resource import AzureType, last
from engine.providers.azure.types.network import DNS
from engine.providers.base import Context

_WORKSPACE = "Microsoft.OperationalInsights/workspaces/{law}"
_NAMES = "its names in the network"
_TTL_S = 300


class AppHostType(AzureType):
    """See the module."""

    type = "apphost"
    path = "Microsoft.App/managedEnvironments/{name}"
    api = "2026-01-01"
    kind = "Microsoft.App/managedEnvironments"
    immutable = frozenset({"location", "subnet"})

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """Paid by use; the workspace's key is read now and goes into this call alone."""
        workspace = self.site.id(_WORKSPACE.format(**self.site.names))
        live = self.arm.get(workspace, "2025-07-01") or {"properties": {}}
        key = self.arm.post(f"{workspace}/sharedKeys", "2025-07-01")["primarySharedKey"]
        properties: dict[str, Any] = {
            "appLogsConfiguration": {"destination": "log-analytics", "logAnalyticsConfiguration": {
                "customerId": live["properties"].get("customerId"), "sharedKey": key}},
            "workloadProfiles": [{"name": "Consumption", "workloadProfileType": "Consumption"}],
            "publicNetworkAccess": spec["public_network_access"], "zoneRedundant": False}
        if spec.get("subnet"):
            properties["vnetConfiguration"] = {
                "infrastructureSubnetId": f"{self._network()}/subnets/{spec['subnet']}", "internal": True}
        return {"properties": properties}

    def attributes(self, name: str, live: Mapping[str, Any]) -> dict[str, Any]:
        """Who reaches it, and the subnet of one that nobody reaches from outside."""
        properties = live["properties"]
        inside = properties.get("vnetConfiguration") or {}
        found = {"public_network_access": properties.get("publicNetworkAccess") or "Enabled"}
        return found | ({"subnet": last(inside.get("infrastructureSubnetId"))} if inside.get("internal") else {})

    def needs(self, name: str, live: Mapping[str, Any]) -> list[str]:
        """In a network, the names of its apps."""
        if not self.site.private:
            return []
        record = self.arm.get(f"{self._zone(live)}/A/*", DNS) or {"properties": {}}
        at = [r.get("ipv4Address") for r in record["properties"].get("aRecords") or []]
        linked = self.arm.get(self._link(live), DNS) is not None
        return [] if at == [live["properties"].get("staticIp")] and linked else [_NAMES]

    def after(self, name: str, spec: Attributes, context: Context) -> None:
        """In a network, one name for all apps, which leads to the address inside."""
        live = self.read(name)
        if not spec.get("subnet") or live is None:
            return
        self.arm.put(self._zone(live), DNS, {
            "location": "global", "tags": dict(self.site.environment.tags), "properties": {}}, context)
        self.arm.put(f"{self._zone(live)}/A/*", DNS, {"properties": {
            "ttl": _TTL_S, "aRecords": [{"ipv4Address": live["properties"]["staticIp"]}]}}, context)
        self.arm.put(self._link(live), DNS, {"location": "global", "properties": {
            "registrationEnabled": False, "virtualNetwork": {"id": self._network()}}}, context)

    def delete(self, name: str, context: Context) -> None:
        """Its jobs go first: Azure deletes no environment that has some. Its zone goes with it."""
        for job in self.arm.list(self.site.id("Microsoft.App/jobs"), self.api):
            if str(job["name"]).startswith(f"{self.site.names['job']}-"):
                self.arm.delete(self.site.id(f"Microsoft.App/jobs/{job['name']}"), self.api, context)
        live = self.read(name)
        if live is not None and self.site.private:
            self.arm.delete(self._link(live), DNS, context)
            self.arm.delete(self._zone(live), DNS, context)
        super().delete(name, context)

    def _network(self) -> str:
        return self.site.id(f"Microsoft.Network/virtualNetworks/{self.site.names['vnet']}")

    def _zone(self, live: Mapping[str, Any]) -> str:
        return self.site.id(f"Microsoft.Network/privateDnsZones/{live['properties']['defaultDomain']}")

    def _link(self, live: Mapping[str, Any]) -> str:
        return f"{self._zone(live)}/virtualNetworkLinks/{self.site.names['vnet']}"


TYPES = (AppHostType,)
