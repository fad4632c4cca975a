"""The network of a private environment: what it holds, and who waits for it (P3.2).

Owns: ranges, the zones of each cloud, an endpoint for each service. Must not: know how a target realises them. A public
environment has none of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network

from engine.kinds import wiring
from engine.kinds.building import inside, owned
from engine.model.address import Address
from engine.model.manifest import Azure, Manifest
from engine.model.step import Step
from engine.model.value import Value
from engine.policy.naming import name as resource_name

_SERVICES = {"postgres": wiring.POSTGRES, "vault": wiring.VAULT, "namespace": wiring.NAMESPACE,
             "registry": wiring.REGISTRY}

# Cloud: service: the zone in which the names of its private endpoints are looked up.
_ZONES: Mapping[str, Mapping[str, str]] = {
    "public": {"postgres": "privatelink.postgres.database.azure.com", "vault": "privatelink.vaultcore.azure.net",
               "namespace": "privatelink.servicebus.windows.net", "registry": "privatelink.azurecr.io"},
    "usgovernment": {"postgres": "privatelink.postgres.database.usgovcloudapi.net",
                     "vault": "privatelink.vaultcore.usgovcloudapi.net",
                     "namespace": "privatelink.servicebus.usgovcloudapi.net", "registry": "privatelink.azurecr.us"},
    "china": {"postgres": "privatelink.postgres.database.chinacloudapi.cn", "vault": "privatelink.vaultcore.azure.cn",
              "namespace": "privatelink.servicebus.chinacloudapi.cn", "registry": "privatelink.azurecr.cn"},
}


def private(manifest: Manifest) -> bool:
    """Whether only those inside its network reach the environment."""
    return manifest.access == "private"


def endpoint_of(manifest: Manifest, service: str) -> frozenset[Address]:
    """The private endpoint of a service, where there is one."""
    return frozenset({Address("resource", f"endpoint-{service}")} if private(manifest) else ())


def network_of(manifest: Manifest) -> frozenset[Address]:
    """The network, where there is one."""
    return frozenset({wiring.NETWORK} if private(manifest) else ())


def steps(manifest: Manifest, azure: Azure, place: Mapping[str, Value]) -> Iterator[Step]:
    """The network at `place`, and for each service a zone and an endpoint in it."""
    if not private(manifest):
        return
    space = IPv4Network(azure.address_space)
    apps = next(space.subnets(new_prefix=23))
    endpoints = next(s for s in space.subnets(new_prefix=24) if not s.subnet_of(apps))
    name, group = resource_name(manifest.names, "vnet"), resource_name(manifest.names, "rg")
    yield owned(manifest, wiring.NETWORK, "network", "vnet", {
        **place, "address_space": str(space),
        "subnets": {"apps": str(apps), "endpoints": str(endpoints)}}, lives_in={wiring.GROUP})
    for service, address in _SERVICES.items():
        at, zone = Address("resource", f"zone-{service}"), _ZONES[azure.cloud][service]
        yield inside(manifest, at, "zone", zone, "access", {"group": group, "network": name},
                     lives_in={wiring.NETWORK})
        yield inside(manifest, Address("resource", f"endpoint-{service}"), "endpoint",
                     f"{resource_name(manifest.names, 'pe')}-{service}", "access",
                     {"service": service, "network": name, "zone": zone}, lives_in={wiring.NETWORK, address},
                     depends_on={at})
