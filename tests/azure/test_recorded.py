"""Live state as the real service has told it: what was declared is found in it, and nothing else is a change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.model.change import Action
from engine.providers.azure.resource import AzureType
from tests.azure.arm import ArmServer, Fault
from tests.azure.provided import Azure

_RECORDED = Path(__file__).with_name("recorded")
_NEVER = 1_000_000

_PLACES = {"postgres": "uksouth"}

# Name, the path of its resource, what the manifest says of the server, a value that is changed in the answer, and what
# then differs.
CASES = [
    ("group", r"/resourceGroups/[^/]+$", {}, ("location", "UK South"), "location"),
    ("postgres", r"/flexibleServers/[^/]+$", {"version": 16, "sku": "Standard_D4s_v3", "storage_gb": 128},
     ("properties.storage.storageSizeGB", 64), "storage_gb"),
    ("namespace", r"/namespaces/[^/]+$", {}, ("sku.capacity", 2), "units"),
    ("vault", r"/vaults/[^/]+$", {}, ("properties.publicNetworkAccess", "Disabled"), "public_network_access"),
    ("apphost", r"/managedEnvironments/[^/]+$", {}, ("properties.publicNetworkAccess", "Disabled"),
     "public_network_access"),
]


@pytest.mark.parametrize(("name", "path", "declared", "changed", "differs"), CASES, ids=[c[0] for c in CASES])
def test_what_azure_adds_is_no_change(arm: ArmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str,
                                      path: str, declared: dict[str, Any], changed: tuple[str, Any],
                                      differs: str) -> None:
    for variable, value in arm.environment().items():
        monkeypatch.setenv(variable, value)
    azure = Azure(arm, tmp_path, postgres=declared, azure={
        "subscription": arm.subscription, "tenant": arm.tenant, "endpoint": arm.endpoint, "authority": arm.authority,
        "ca_file": str(arm.ca_bundle), "location": _PLACES.get(name, "West US 2")})
    assert azure.action(name) is Action.CREATE
    live = _recorded(azure, name)
    assert _planned(azure, path, live, name) == (Action.NOOP, [])
    where, value = changed
    *above, key = where.split(".")
    part = live
    for step in above:
        part = part[step]
    part[key] = value
    action, paths = _planned(azure, path, live, name)
    assert action is not Action.NOOP
    assert paths == [differs]


def _recorded(azure: Azure, name: str) -> dict[str, Any]:
    """The answer, as of the environment's own resource, with its tags and one of the portal's."""
    step = azure.step(name)
    type_ = azure.target.resources[str(step.spec["type"])]
    own = str(step.spec["name"])
    text = (_RECORDED / f"{name}.json").read_text(encoding="utf-8")
    assert isinstance(type_, AzureType)
    live: dict[str, Any] = json.loads(text.replace("{name}", own).replace("{id}", type_.id(own)))
    tags: Any = step.spec["tags"]
    return live | {"tags": {**tags, "hidden-title": "of the portal"}}


def _planned(azure: Azure, path: str, live: dict[str, Any], name: str) -> tuple[Action, list[str]]:
    azure.arm.faults.clear()
    azure.arm.faults.inject("GET", path, fault=Fault.answer(live), times=_NEVER)
    azure.open()
    return azure.action(name), azure.diffs(name)
