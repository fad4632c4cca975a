"""What cannot be changed in place is refused, by each service in its own words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.azure.arm import ArmServer
from tests.azure.arm.bodies import merged
from tests.azure.clients import VERSIONS, Bare


def _cases(tenant: str) -> dict[str, tuple[str, str, dict[str, Any], dict[str, Any], tuple[int, str]]]:
    """By name: (path, version, body, change, refusal)."""
    vault = {"tenantId": tenant, "sku": {"family": "A", "name": "standard"}, "enableRbacAuthorization": True,
             "softDeleteRetentionInDays": 7}
    return {
        "vault's days": ("Microsoft.KeyVault/vaults/team4-kv", VERSIONS["keyvault"], {"properties": vault},
                         {"properties": {"softDeleteRetentionInDays": 8}}, (400, "BadRequest")),
        "vault's place": ("Microsoft.KeyVault/vaults/team4-kv", VERSIONS["keyvault"], {"properties": vault},
                          {"location": "uksouth"}, (409, "InvalidResourceLocation")),
        "namespace's tier": ("Microsoft.EventHub/namespaces/team4-evh", VERSIONS["eventhub"],
                             {"sku": {"name": "Standard"}, "properties": {}}, {"sku": {"name": "Premium"}},
                             (400, "BadRequest")),
        "environment's zones": ("Microsoft.App/managedEnvironments/team4-env", VERSIONS["app"], {"properties": {}},
                                {"properties": {"zoneRedundant": True}},
                                (400, "ManagedEnvironmentPropertyCannotBeChanged")),
        "registry's zones": ("Microsoft.ContainerRegistry/registries/team4acr", VERSIONS["registry"],
                             {"sku": {"name": "Premium"}, "properties": {}},
                             {"properties": {"zoneRedundancy": "Enabled"}}, (400, "PropertyChangeNotAllowed")),
    }


@pytest.mark.parametrize("case", sorted(_cases("")))
def test_an_immutable_is_refused_and_all_else_is_taken(arm: ArmServer, case: str) -> None:
    call = Bare(arm)
    path, version, body, change, refusal = _cases(arm.tenant)[case]
    at, body = f"{call.group()}/providers/{path}", {"location": "westus2", **body}
    call.create(at, body, version)
    answer = call("PUT", at, merged(body, change), version)
    assert (answer.status_code, answer.json()["error"]["code"]) == refusal
    assert call.create(at, {**body, "location": "West US 2", "tags": {"n": "1"}}, version)["tags"] == {"n": "1"}


def test_a_hubs_partitions_and_policy_are_for_good(arm: ArmServer) -> None:
    call, version = Bare(arm), VERSIONS["eventhub"]
    at = f"{call.group()}/providers/Microsoft.EventHub/namespaces/team4-evh"
    call.create(at, {"location": "westus2"}, version)
    hub = f"{at}/eventhubs/ledger"
    body = {"properties": {"partitionCount": 2, "retentionDescription": {"retentionTimeInHours": 72}}}
    assert call("PUT", hub, body, version).status_code == 200
    for change in ({"partitionCount": 4}, {"retentionDescription": {"cleanupPolicy": "Compact"}}):
        answer = call("PUT", hub, merged(body, {"properties": change}), version)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadRequest")
    longer = {"properties": {"retentionDescription": {"retentionTimeInHours": 96}}}
    answer = call("PUT", hub, merged(body, longer), version)
    assert answer.json()["properties"]["messageRetentionInDays"] == 4
