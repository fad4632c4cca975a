"""What a cloud adds to an environment: resources that this machine has no use for, and what depends on them.

Owns: their specs and their place in the order. Must not: know how a target realises them. For any other target all of
this is empty, so that the rest of the graph is the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.kinds import private_network, wiring
from engine.kinds.building import inside, owned
from engine.kinds.private_network import endpoint_of, network_of, private
from engine.model.address import Address
from engine.model.manifest import Azure, Manifest
from engine.model.step import Step
from engine.model.value import Value
from engine.policy.naming import consumer_group
from engine.policy.naming import name as resource_name

_LOG_DAYS, _GRAVE_DAYS = 30, 7
_RULES = {"listen": ["Listen"], "send": ["Send"], "prove": ["Listen", "Send"]}
_ROLES = {"deployer-secrets": ("Key Vault Secrets Officer", "kv", "deployer"),
          "identity-secrets": ("Key Vault Secrets User", "kv", "identity"),
          "identity-pull": ("AcrPull", "acr", "identity")}
_SCOPES = {"kv": wiring.VAULT, "acr": wiring.REGISTRY}
IMAGE_NAME = "txplan"


def steps(manifest: Manifest, code: str) -> Iterator[Step]:
    """The further resources; `code` is the digest of what the image shall hold."""
    if manifest.azure is None:
        return
    group, place = {wiring.GROUP}, located(manifest)
    yield owned(manifest, wiring.WORKSPACE, "workspace", "law", {**place, "retention_days": _LOG_DAYS}, lives_in=group)
    yield owned(manifest, wiring.INSIGHTS, "insights", "ai",
                {**place, "workspace": resource_name(manifest.names, "law")}, lives_in=group,
                depends_on={wiring.WORKSPACE})
    yield owned(manifest, wiring.IDENTITY, "identity", "id", place, lives_in=group)
    yield owned(manifest, wiring.REGISTRY, "registry", "acr", {
        **place, **reach(manifest), "sku": "Premium" if private(manifest) else "Basic"}, lives_in=group)
    if manifest.azure.image is None:
        yield inside(manifest, wiring.IMAGE, "image", IMAGE_NAME, "azure.image",
                     {"code": code[:12], "registry": resource_name(manifest.names, "acr")},
                     lives_in={wiring.REGISTRY})
    yield owned(manifest, wiring.APP_HOST, "apphost", "caenv",
                {**place, **reach(manifest), **({"subnet": "apps"} if private(manifest) else {})}, lives_in=group,
                depends_on={wiring.WORKSPACE, *network_of(manifest)})
    yield from _roles(manifest)
    yield from _broker(manifest)
    yield from _firewall(manifest, manifest.azure)
    yield from private_network.steps(manifest, manifest.azure, place)


def located(manifest: Manifest) -> dict[str, Value]:
    """Where a resource lies, on a target where that is said."""
    return {} if manifest.azure is None else {"location": manifest.azure.location}


def reach(manifest: Manifest) -> dict[str, Value]:
    """Who reaches a resource, on a target where that is a setting (P3.2)."""
    if manifest.azure is None:
        return {}
    return {"public_network_access": "Disabled" if private(manifest) else "Enabled"}


def vault(manifest: Manifest) -> dict[str, Value]:
    """What a cloud's vault has beside name and tags."""
    return {} if manifest.azure is None else {**located(manifest), **reach(manifest), "soft_delete_days": _GRAVE_DAYS}


def postgres(manifest: Manifest) -> dict[str, Value]:
    """What a cloud's server has beside version and parameters."""
    if manifest.azure is None:
        return {}
    return {**located(manifest), **reach(manifest), "sku": manifest.postgres.sku,
            "storage_gb": manifest.postgres.storage_gb}


def namespace(manifest: Manifest) -> dict[str, Value]:
    """The broker as the cloud offers it; nothing on another target, which has its own engines."""
    if manifest.azure is None:
        return {}
    return {"engine": "eventhubs", **located(manifest), **reach(manifest), "sku": "Standard", "units": 1}


def for_secrets(manifest: Manifest) -> frozenset[Address]:
    """What must be there before a secret can be stored."""
    if manifest.azure is None:
        return frozenset()
    return frozenset({wiring.role("deployer-secrets")}) | endpoint_of(manifest, "vault")


def for_database(manifest: Manifest) -> frozenset[Address]:
    """What must be there before somebody logs in."""
    if manifest.azure is None:
        return frozenset()
    return endpoint_of(manifest, "postgres") | frozenset(step.address for step in _firewall(manifest, manifest.azure))


def for_broker(manifest: Manifest) -> frozenset[Address]:
    """What must be there before somebody reads or publishes."""
    if manifest.azure is None:
        return frozenset()
    return frozenset(wiring.rule(name) for name in _RULES) | endpoint_of(manifest, "namespace")


def for_runs(manifest: Manifest) -> frozenset[Address]:
    """What apps and jobs run on."""
    if manifest.azure is None:
        return frozenset()
    image = {wiring.IMAGE} if manifest.azure.image is None else set()
    roles = {wiring.role("identity-secrets"), wiring.role("identity-pull")}
    return endpoint_of(manifest, "registry") | frozenset(
        {wiring.APP_HOST, wiring.IDENTITY, wiring.REGISTRY, *roles, *image})


def _roles(manifest: Manifest) -> Iterator[Step]:
    for name, (role, token, principal) in _ROLES.items():
        needs = {wiring.IDENTITY} if principal == "identity" else set()
        yield inside(manifest, wiring.role(name), "role", name, "azure",
                     {"role": role, "scope": resource_name(manifest.names, token), "principal": principal},
                     lives_in={_SCOPES[token], *needs})


def _broker(manifest: Manifest) -> Iterator[Step]:
    container = resource_name(manifest.names, "evh")
    for name, rights in _RULES.items():
        yield inside(manifest, wiring.rule(name), "rule", name, "broker", {"rights": rights, "namespace": container},
                     lives_in={wiring.NAMESPACE})
    for hub in manifest.hubs:
        yield inside(manifest, Address("resource", f"group-{hub.key}"), "consumer-group",
                     f"{hub.name}/{consumer_group(manifest.names, 1)}", f"hubs.{hub.key}", {"namespace": container},
                     lives_in={wiring.hub(hub.key)})


def _firewall(manifest: Manifest, azure: Azure) -> Iterator[Step]:
    """The ranges of the manifest, and Azure's own services, among them the apps; a private server has none."""
    if private(manifest):
        return
    ranges = {"azure-services": ("0.0.0.0", "0.0.0.0"), **azure.allow}
    for name, (first, last) in sorted(ranges.items()):
        yield inside(manifest, Address("resource", f"firewall-{name}"), "firewall", name, f"azure.allow.{name}",
                     {"first": first, "last": last, "server": resource_name(manifest.names, "pg")},
                     lives_in={wiring.POSTGRES})
