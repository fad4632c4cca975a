"""Microsoft.Network: virtual networks and subnets, private endpoints, private DNS zones and their links.

The bodies are checked against schemas by hand.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from tests.azure.arm.bodies import filled
from tests.azure.arm.errors import ArmError, bad
from tests.azure.arm.paths import Target
from tests.azure.arm.resource import ASYNC_201, ASYNC_202, LOCATION_202, SYNC, Put, ResourceType
from tests.azure.arm.state import Resource
from tests.azure.arm.web import Answer, Request

if TYPE_CHECKING:
    from tests.azure.arm.server import ArmServer

VERSION = "2024-05-01"
GROUP_IDS = {"microsoft.dbforpostgresql/flexibleservers": "postgresqlServer", "microsoft.keyvault/vaults": "vault",
             "microsoft.eventhub/namespaces": "namespace", "microsoft.containerregistry/registries": "registry",
             "microsoft.app/managedenvironments": "managedEnvironments"}


class Networks:
    """What other providers ask of the network."""

    def __init__(self, arm: ArmServer) -> None:
        self.arm = arm

    def subnet(self, subnet_id: str) -> Resource:
        found = self.arm.state.get(subnet_id)
        if found is None or not found.kind.type.lower().endswith("/subnets"):
            raise bad("InvalidResourceReference", f"Resource {subnet_id} referenced by the request was not found.")
        return found

    def require_delegated(self, subnet_id: str, service: str, smallest: int = 28) -> None:
        """400 unless the subnet is there, delegated to the service, and large enough (`smallest` is a prefix)."""
        found = self.subnet(subnet_id)
        services = [d["properties"]["serviceName"] for d in found.properties.get("delegations", [])]
        if service not in services:
            raise bad("SubnetMissingRequiredDelegation", f"Subnet {subnet_id} must be delegated to {service}.")
        prefix = found.properties.get("addressPrefix") or found.properties["addressPrefixes"][0]
        if ip_network(prefix).prefixlen > smallest:
            raise bad("SubnetIsTooSmall", f"Subnet {subnet_id} must be /{smallest} or larger.")

    def endpoints_of(self, resource_id: str) -> list[Resource]:
        return [e for e in self.arm.state.of_type(Endpoints.type) for link in _links(e)
                if link["properties"]["privateLinkServiceId"].lower() == resource_id.lower() and e.state == "Succeeded"]

    def connections_to(self, resource_id: str) -> list[dict[str, Any]]:
        """The `privateEndpointConnections` of a resource."""
        return [{"id": f"{resource_id}/privateEndpointConnections/{e.name}", "name": e.name, "properties": {
            "privateEndpoint": {"id": e.id}, "provisioningState": "Succeeded", "privateLinkServiceConnectionState": {
                "status": "Approved", "description": "Auto-Approved"}}} for e in self.endpoints_of(resource_id)]


def _links(endpoint: Resource) -> list[dict[str, Any]]:
    return list(endpoint.properties.get("privateLinkServiceConnections") or [])


class VirtualNetworks(ResourceType):
    type = "Microsoft.Network/virtualNetworks"
    version = VERSION
    style = ASYNC_201
    seconds, update_seconds, delete_seconds, retry_after = 5.0, 5.0, 10.0, 3.0
    delete_style = LOCATION_202

    def prepare(self, put: Put) -> None:
        spaces = [_net(text) for text in put.properties["addressSpace"]["addressPrefixes"]]
        for subnet in put.properties.get("subnets") or []:
            _check_in(spaces, subnet["name"], subnet.get("properties") or {})
        kept = {subnet["name"].lower() for subnet in put.properties.get("subnets") or []}
        for subnet in self.state.of_type(Subnets.type, put.target.id):
            if subnet.name.lower() not in kept and "subnets" in put.properties:
                self._refuse_used(subnet)

    def _refuse_used(self, subnet: Resource) -> None:
        users = _users(self.arm, subnet.id)
        if users:
            raise bad("InUseSubnetCannotBeDeleted", f"Subnet {subnet.name} is in use by {users[0]} and cannot be "
                      "deleted.")

    def fill(self, resource: Resource) -> None:
        """A PUT says all subnets: what is not in it goes."""
        kind = self.arm.types.by_name[Subnets.type.lower()]
        wanted = resource.properties.pop("subnets", None)
        filled(resource.properties, enableDdosProtection=False, virtualNetworkPeerings=[])
        if wanted is None:
            return
        names = {subnet["name"].lower() for subnet in wanted}
        for old in self.state.of_type(Subnets.type, resource.id):
            if old.name.lower() not in names:
                self.state.drop(old)
        for subnet in wanted:
            at = f"{resource.id}/subnets/{subnet['name']}"
            made = Resource(at, kind, subnet["name"], {"properties": subnet.get("properties") or {}}, 0.0)
            kind.fill(made)
            self.state.resources[at.lower()] = made

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        body["properties"]["subnets"] = [s.kind.shown(s) for s in self.state.of_type(Subnets.type, resource.id)]
        return body | {"etag": 'W/"0"'}

    def may_delete(self, resource: Resource) -> None:
        for subnet in self.state.of_type(Subnets.type, resource.id):
            self._refuse_used(subnet)


class Subnets(ResourceType):
    type = "Microsoft.Network/virtualNetworks/subnets"
    version = VERSION
    style = ASYNC_201
    seconds, update_seconds, delete_seconds, retry_after = 5.0, 5.0, 5.0, 3.0
    delete_style = LOCATION_202

    def prepare(self, put: Put) -> None:
        network = self.state.get(put.target.parent)
        assert network is not None
        _check_in([_net(t) for t in network.properties["addressSpace"]["addressPrefixes"]], put.target.names[-1],
                  put.properties)

    def fill(self, resource: Resource) -> None:
        filled(resource.properties, delegations=[], privateEndpointNetworkPolicies="Disabled",
               privateLinkServiceNetworkPolicies="Enabled")

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        for delegation in body["properties"]["delegations"]:
            delegation["id"] = f"{resource.id}/delegations/{delegation['name']}"
            delegation["properties"] |= {"provisioningState": "Succeeded", "actions": []}
        return body | {"etag": 'W/"0"'}

    def may_delete(self, resource: Resource) -> None:
        users = _users(self.arm, resource.id)
        if users:
            raise bad("InUseSubnetCannotBeDeleted", f"Subnet {resource.name} is in use by {users[0]}.")


def _users(arm: ArmServer, subnet_id: str) -> list[str]:
    """Whose body speaks of the subnet."""
    wanted = subnet_id.lower()

    def speaks(value: Any) -> bool:
        if isinstance(value, dict):
            return any(speaks(item) for item in value.values())
        if isinstance(value, list):
            return any(speaks(item) for item in value)
        return isinstance(value, str) and value.lower() == wanted

    return [found.id for found in arm.state.resources.values() if speaks(found.body)]


def _net(text: str) -> Any:
    try:
        return ip_network(text)
    except ValueError as error:
        raise bad("InvalidAddressPrefixFormat", str(error)) from None


def _check_in(spaces: list[Any], name: str, properties: dict[str, Any]) -> None:
    for text in [properties["addressPrefix"]] if "addressPrefix" in properties else properties["addressPrefixes"]:
        if not any(_net(text).subnet_of(space) for space in spaces):
            raise bad("NetcfgInvalidSubnet", f"Subnet '{name}' is not valid in virtual network: {text}.")


class Endpoints(ResourceType):
    type = "Microsoft.Network/privateEndpoints"
    version = VERSION
    style = ASYNC_201
    seconds, update_seconds, delete_seconds = 40.0, 10.0, 20.0
    delete_style = LOCATION_202
    immutable = ("properties.subnet.id",)

    def prepare(self, put: Put) -> None:
        self.arm.networks.subnet(put.properties["subnet"]["id"])
        for link in put.properties.get("privateLinkServiceConnections") or []:
            service = link["properties"]["privateLinkServiceId"]
            found = self.state.get(service)
            if found is None:
                raise bad("InvalidResourceReference", f"Resource {service} referenced by the request was not found.")
            wanted = GROUP_IDS.get(found.kind.type.lower())
            if link["properties"].get("groupIds") != [wanted]:
                raise bad("PrivateEndpointGroupIdInvalid", f"The group id of {found.kind.type} is '{wanted}'.")
            if found.body.get("sku", {}).get("name") in ("Basic", "Standard") and wanted == "registry":
                raise bad("PrivateEndpointFeatureNotSupportedOnResource", "A private endpoint wants the sku Premium.")

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        properties = body["properties"]
        for link in properties.get("privateLinkServiceConnections") or []:
            link["id"] = f"{resource.id}/privateLinkServiceConnections/{link['name']}"
            link["properties"] |= {"provisioningState": "Succeeded", "privateLinkServiceConnectionState": {
                "status": "Approved", "description": "Auto-Approved", "actionsRequired": "None"}}
        properties.setdefault("manualPrivateLinkServiceConnections", [])
        properties["networkInterfaces"] = [{"id": f"{resource.id.rsplit('/', 2)[0]}/networkInterfaces/{resource.name}"}]
        properties.setdefault("customDnsConfigs", [])
        return body


class DnsGroups(ResourceType):
    type = "Microsoft.Network/privateEndpoints/privateDnsZoneGroups"
    version = VERSION
    style = ASYNC_201
    seconds, update_seconds, delete_seconds, retry_after = 15.0, 5.0, 5.0, 5.0
    delete_style = LOCATION_202

    def prepare(self, put: Put) -> None:
        for config in put.properties["privateDnsZoneConfigs"]:
            zone = config["properties"]["privateDnsZoneId"]
            if self.state.get(zone) is None:
                raise bad("InvalidResourceReference", f"Resource {zone} referenced by the request was not found.")


class Zones(ResourceType):
    type = "Microsoft.Network/privateDnsZones"
    version = "2024-06-01"
    style = ASYNC_202
    delete_style = ASYNC_202
    seconds, update_seconds, delete_seconds, retry_after = 30.0, 10.0, 20.0, 5.0
    operations_path = "operationStatuses"

    def put(self, target: Target, request: Request) -> Answer:
        if request.json().get("location", "").lower() != "global":
            raise bad("BadRequest", "The location of a private DNS zone is 'global'.", "location")
        return super().put(target, request)

    def fill(self, resource: Resource) -> None:
        filled(resource.body, tags={}, properties={})

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        links = self.state.of_type(Links.type, resource.id)
        body["properties"] |= {"maxNumberOfRecordSets": 25000, "numberOfRecordSets": 1,
                               "numberOfVirtualNetworkLinks": len(links), "maxNumberOfVirtualNetworkLinks": 1000}
        return body

    def may_delete(self, resource: Resource) -> None:
        if self.state.of_type(Links.type, resource.id):
            raise ArmError(409, "CannotDeleteResource", "Can not delete resource before nested resources are deleted.")


class Links(ResourceType):
    type = "Microsoft.Network/privateDnsZones/virtualNetworkLinks"
    version = "2024-06-01"
    style = ASYNC_202
    delete_style = ASYNC_202
    seconds, update_seconds, delete_seconds, retry_after = 30.0, 10.0, 20.0, 5.0
    immutable = ("properties.virtualNetwork.id",)

    def prepare(self, put: Put) -> None:
        network = put.properties["virtualNetwork"]["id"]
        if self.state.get(network) is None:
            raise bad("BadRequest", f"The virtual network {network} does not exist.")

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        body["properties"]["virtualNetworkLinkState"] = "Completed"
        return body


class Records(ResourceType):
    type = "Microsoft.Network/privateDnsZones/A"
    version = "2024-06-01"
    style = SYNC
