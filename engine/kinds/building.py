"""How steps of resources are put together: those that carry tags, and those that lie inside another one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.model.address import Address
from engine.model.manifest import Manifest
from engine.model.step import Step
from engine.model.value import Value
from engine.policy.naming import name as resource_name
from engine.policy.naming import tags

# What a spec's key was declared as in the manifest.
_DECLARED = {"parameters": "postgres.parameters", "version": "postgres.version", "engine": "broker.engine",
             "bootstrap": "broker.bootstrap", "tags": "ttl", "sku": "postgres.sku", "storage_gb": "postgres.storage_gb",
             "location": "azure.location", "public_network_access": "access"}


def owned(manifest: Manifest, address: Address, type_: str, token: str, spec: Mapping[str, Value], *,
          lives_in: Iterable[Address] = (), depends_on: Iterable[Address] = ()) -> Step:
    """A resource with the environment's name (P3.3) and tags."""
    full = {"type": type_, "name": resource_name(manifest.names, token), "tags": dict(tags(manifest)), **spec}
    positions = {key: manifest.where(_DECLARED.get(key, type_)) for key in full}
    return Step(address, full, frozenset(lives_in) | frozenset(depends_on), frozenset(lives_in),
                manifest.where(type_), positions)


def inside(manifest: Manifest, address: Address, type_: str, name: str, path: str, spec: Mapping[str, Value], *,
           lives_in: Iterable[Address], depends_on: Iterable[Address] = ()) -> Step:
    """A resource inside another one: it has a name of its own and takes its container's tags."""
    declared = {"retention_hours": "retention"}
    positions = {key: manifest.where(f"{path}.{declared.get(key, key)}") for key in spec}
    return Step(address, {"type": type_, "name": name, **spec}, frozenset(lives_in) | frozenset(depends_on),
                frozenset(lives_in), manifest.where(path), positions)
