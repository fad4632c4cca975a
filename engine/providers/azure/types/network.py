"""The private network: `network` with its subnets, `zone` for names inside it, `endpoint` for each service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.model.value import Attributes
from engine.providers.azure.resource import AzureType, last, same_name
from engine.providers.base import Context

API, DNS = "2024-05-01", "2024-06-01"
_APPS = "apps"

# Service: (its resource, what a private endpoint calls it).
SERVICES: Mapping[str, tuple[str, str]] = {
    "postgres": ("Microsoft.DBforPostgreSQL/flexibleServers/{pg}", "postgresqlServer"),
    "vault": ("Microsoft.KeyVault/vaults/{kv}", "vault"),
    "namespace": ("Microsoft.EventHub/namespaces/{evh}", "namespace"),
    "registry": ("Microsoft.ContainerRegistry/registries/{acr}", "registry"),
}


class Network(AzureType):
    """{name, tags, location, address_space, subnets: {name: range}}."""

    type = "network"
    path = "Microsoft.Network/virtualNetworks/{name}"
    api = API
    kind = "Microsoft.Network/virtualNetworks"
    immutable = frozenset({"location", "address_space", "subnets"})

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """The apps' subnet is given to Container Apps."""
        subnets: Any = spec["subnets"]
        given = [{"name": "container-apps", "properties": {"serviceName": "Microsoft.App/environments"}}]
        return {"properties": {
            "addressSpace": {"addressPrefixes": [spec["address_space"]]},
            "subnets": [{"name": subnet, "properties": {"addressPrefix": range_} | (
                {"delegations": given} if subnet == _APPS else {})} for subnet, range_ in sorted(subnets.items())]}}

    def attributes(self, name: str, live: Mapping[str, Any]) -> dict[str, Any]:
        """Its ranges."""
        properties = live["properties"]
        return {"address_space": (properties.get("addressSpace", {}).get("addressPrefixes") or [None])[0],
                "subnets": {s["name"]: s["properties"].get("addressPrefix") for s in properties.get("subnets") or []}}


class Zone(AzureType):
    """{name, group, network}: a private DNS zone, and its link to the network."""

    type = "zone"
    path = "Microsoft.Network/privateDnsZones/{name}"
    api = DNS
    immutable = frozenset({"network"})

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """Zones are nowhere in particular."""
        return {"location": "global", "tags": dict(self.site.environment.tags), "properties": {}}

    def after(self, name: str, spec: Attributes, context: Context) -> None:
        """Link it."""
        self.arm.put(self._link(name), DNS, {"location": "global", "properties": {
            "registrationEnabled": False, "virtualNetwork": {"id": self._network()}}}, context)

    def attributes(self, name: str, live: Mapping[str, Any]) -> dict[str, Any]:
        """The network that it is linked to."""
        link = self.arm.get(self._link(name), DNS) or {"properties": {}}
        return {"network": same_name((link["properties"].get("virtualNetwork") or {}).get("id"),
                                     self.site.names["vnet"])}

    def delete(self, name: str, context: Context) -> None:
        """A zone that is linked cannot go."""
        self.arm.delete(self._link(name), DNS, context)
        super().delete(name, context)

    def _link(self, name: str) -> str:
        return f"{self.id(name)}/virtualNetworkLinks/{self.site.names['vnet']}"

    def _network(self) -> str:
        return self.site.id(f"Microsoft.Network/virtualNetworks/{self.site.names['vnet']}")


class Endpoint(AzureType):
    """{name, service, network, zone}: an address of the network for a service, and its name in the zone."""

    type = "endpoint"
    path = "Microsoft.Network/privateEndpoints/{name}"
    api = API
    immutable = frozenset({"service", "network"})

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """In the subnet of endpoints."""
        path, part = SERVICES[str(spec["service"])]
        network = self.site.id(f"Microsoft.Network/virtualNetworks/{self.site.names['vnet']}")
        return {"location": self.site.location, "tags": dict(self.site.environment.tags), "properties": {
            "subnet": {"id": f"{network}/subnets/endpoints"},
            "privateLinkServiceConnections": [{"name": name, "properties": {
                "privateLinkServiceId": self.site.id(path.format(**self.site.names)), "groupIds": [part]}}]}}

    def after(self, name: str, spec: Attributes, context: Context) -> None:
        """Its name inside the network."""
        zone = str(spec["zone"])
        self.arm.put(self._lookup(name), API, {"properties": {"privateDnsZoneConfigs": [
            {"name": zone.replace(".", "-"), "properties": {
                "privateDnsZoneId": self.site.id(f"Microsoft.Network/privateDnsZones/{zone}")}}]}}, context)

    def attributes(self, name: str, live: Mapping[str, Any]) -> dict[str, Any]:
        """The service behind it, and the zone that has its name; none where nobody could look it up."""
        links = live["properties"].get("privateLinkServiceConnections") or [{"properties": {}}]
        behind = str(links[0]["properties"].get("privateLinkServiceId", "")).lower()
        service = next((s for s, (path, _) in SERVICES.items()
                        if behind.endswith(path.format(**self.site.names).lower())), "")
        group = self.arm.get(self._lookup(name), API) or {"properties": {}}
        zones = [last(c["properties"].get("privateDnsZoneId"))
                 for c in group["properties"].get("privateDnsZoneConfigs") or []]
        return {"service": service, "network": self.site.names["vnet"], "zone": (zones or [""])[0]}

    def _lookup(self, name: str) -> str:
        return f"{self.id(name)}/privateDnsZoneGroups/default"


TYPES = (Network, Zone, Endpoint)
