"""Virtual networks, private endpoints, private DNS, apps' environments in them, alerts and workbooks."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.azure.arm import ArmServer
from tests.azure.clients import VERSIONS, Bare

NETWORK, DNS = "2024-05-01", "2024-06-01"


@pytest.fixture
def call(arm: ArmServer) -> Bare:
    bare = Bare(arm)
    bare.group()
    return bare


def _at(arm: ArmServer, path: str) -> str:
    return f"{arm.scope}/resourceGroups/rg/providers/{path}"


def _delegated(name: str, prefix: str, service: str | None) -> dict[str, Any]:
    delegations = [{"name": "d", "properties": {"serviceName": service}}] if service else []
    return {"name": name, "properties": {"addressPrefix": prefix, "delegations": delegations}}


@pytest.fixture
def network(arm: ArmServer, call: Bare) -> dict[str, Any]:
    return call.create(_at(arm, "Microsoft.Network/virtualNetworks/team4-vnet"), {"location": "westus2", "properties": {
        "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": [
            _delegated("apps", "10.0.0.0/23", "Microsoft.App/environments"), _delegated("pe", "10.0.2.0/27", None),
            _delegated("pg", "10.0.3.0/28", "Microsoft.DBforPostgreSQL/flexibleServers")]}}, NETWORK)


def test_a_network_says_its_subnets_and_keeps_those_in_use(
    arm: ArmServer, call: Bare, network: dict[str, Any]) -> None:
    assert [s["name"] for s in network["properties"]["subnets"]] == ["apps", "pe", "pg"]
    subnet = f"{network['id']}/subnets/apps"
    call.create(_at(arm, "Microsoft.App/managedEnvironments/team4-env"), {"location": "westus2", "properties": {
        "vnetConfiguration": {"infrastructureSubnetId": subnet, "internal": False}}}, VERSIONS["app"])
    fewer = {"location": "westus2", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": []}}
    for method, at, body in (("PUT", network["id"], fewer), ("DELETE", subnet, None), ("DELETE", network["id"], None)):
        answer = call(method, at, body, NETWORK)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InUseSubnetCannotBeDeleted"), method
    outside = call("PUT", f"{network['id']}/subnets/out", {"properties": {"addressPrefix": "10.9.0.0/24"}}, NETWORK)
    assert outside.json()["error"]["code"] == "NetcfgInvalidSubnet"


@pytest.mark.parametrize(("subnet", "code"), [
    ("pe", "SubnetMissingRequiredDelegation"), ("none", "InvalidResourceReference")])
def test_an_environment_wants_a_subnet_that_is_delegated_to_it(
    arm: ArmServer, call: Bare, network: dict[str, Any], subnet: str, code: str) -> None:
    answer = call("PUT", _at(arm, "Microsoft.App/managedEnvironments/team4-env"), {
        "location": "westus2", "properties": {"vnetConfiguration": {
            "infrastructureSubnetId": f"{network['id']}/subnets/{subnet}"}}}, VERSIONS["app"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_a_private_endpoint_is_seen_at_its_resource_and_finds_its_zone(
    arm: ArmServer, call: Bare, network: dict[str, Any]) -> None:
    vault = call.create(_at(arm, "Microsoft.KeyVault/vaults/team4-kv"), {"location": "westus2", "properties": {
        "tenantId": arm.tenant, "sku": {"family": "A", "name": "standard"}, "enableRbacAuthorization": True,
        "publicNetworkAccess": "Disabled"}}, VERSIONS["keyvault"])
    zone = _at(arm, "Microsoft.Network/privateDnsZones/privatelink.vaultcore.azure.net")
    assert call("PUT", zone, {"location": "westus2"}, DNS).status_code == 400
    call.create(zone, {"location": "global"}, DNS)
    link = call.create(f"{zone}/virtualNetworkLinks/link", {"location": "global", "properties": {
        "virtualNetwork": {"id": network["id"]}, "registrationEnabled": False}}, DNS)
    assert link["properties"]["virtualNetworkLinkState"] == "Completed"
    at = _at(arm, "Microsoft.Network/privateEndpoints/team4-pe-kv")

    def body(group_id: str) -> dict[str, Any]:
        return {"location": "westus2", "properties": {
            "subnet": {"id": f"{network['id']}/subnets/pe"}, "privateLinkServiceConnections": [{"name": "kv",
            "properties": {"privateLinkServiceId": vault["id"], "groupIds": [group_id]}}]}}

    assert call("PUT", at, body("namespace"), NETWORK).json()["error"]["code"] == "PrivateEndpointGroupIdInvalid"
    made = call.create(at, body("vault"), NETWORK)
    state = made["properties"]["privateLinkServiceConnections"][0]["properties"]["privateLinkServiceConnectionState"]
    assert state["status"] == "Approved"
    call.create(f"{at}/privateDnsZoneGroups/default", {"properties": {"privateDnsZoneConfigs": [
        {"name": "vault", "properties": {"privateDnsZoneId": zone}}]}}, NETWORK)
    seen = call("GET", vault["id"], version=VERSIONS["keyvault"]).json()["properties"]["privateEndpointConnections"]
    assert [c["properties"]["privateEndpoint"]["id"] for c in seen] == [made["id"]]
    assert call("DELETE", zone, version=DNS).json()["error"]["code"] == "CannotDeleteResource"


def test_a_server_in_a_network_takes_no_firewall_rule(arm: ArmServer, call: Bare, network: dict[str, Any]) -> None:
    zone = _at(arm, "Microsoft.Network/privateDnsZones/team4.private.postgres.database.azure.com")
    call.create(zone, {"location": "global"}, DNS)
    at = _at(arm, "Microsoft.DBforPostgreSQL/flexibleServers/team4-pg")
    server = call.create(at, {
        "location": "westus2", "sku": {"name": "Standard_B1ms", "tier": "Burstable"}, "properties": {
            "administratorLogin": "myadmin", "administratorLoginPassword": f"Aa1-{uuid.uuid4().hex}", "version": "16",
            "storage": {"storageSizeGB": 32}, "network": {
                "delegatedSubnetResourceId": f"{network['id']}/subnets/pg", "privateDnsZoneArmResourceId": zone}}},
        VERSIONS["postgres"])
    assert server["properties"]["network"]["publicNetworkAccess"] == "Disabled"
    rule = {"properties": {"startIpAddress": "0.0.0.0", "endIpAddress": "0.0.0.0"}}
    answer = call("PUT", f"{at}/firewallRules/all", rule, VERSIONS["postgres"])
    assert answer.json()["error"]["code"] == "FirewallRulesNotSupported"


def _app(environment: str, **container: Any) -> dict[str, Any]:
    return {"location": "westus2", "properties": {"environmentId": environment, "template": {
        "containers": [{"name": "c", "image": "r/app@sha256:0", **container}]}}}


def test_what_container_apps_refuses_of_a_template(arm: ArmServer, call: Bare) -> None:
    host = call.create(_at(arm, "Microsoft.App/managedEnvironments/team4-env"), {"location": "westus2",
                       "properties": {}}, VERSIONS["app"])
    assert host["location"] == "West US 2" and host["properties"]["kedaConfiguration"]["version"] == "2.17.2"
    at = _at(arm, "Microsoft.App/containerApps/team4-api")
    cases = [
        (_app(f"{host['id']}-none"), "ManagedEnvironmentNotFound"),
        (_app(host["id"], resources={"cpu": 0.25, "memory": "1Gi"}), "ContainerAppInvalidResourceTotal"),
        (_app(host["id"], env=[{"name": "A", "secretRef": "none"}]), "ContainerAppSecretRefNotFound"),
        ({**_app(host["id"]), "location": "uksouth"}, "InvalidRequestParameterWithDetails"),
    ]
    traffic = _app(host["id"])
    traffic["properties"]["configuration"] = {"ingress": {"targetPort": 1, "traffic": [
        {"latestRevision": True, "weight": 50}]}}
    reference = _app(host["id"])
    reference["properties"]["configuration"] = {"secrets": [{"name": "s", "keyVaultUrl": "https://v/secrets/s"}]}
    for body, code in [*cases, (traffic, "ContainerAppInvalidTrafficWeight"), (reference, "ContainerAppSecretInvalid")]:
        answer = call("PUT", at, body, VERSIONS["app"])
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_an_app_is_answered_as_recorded_and_holds_its_environment(arm: ArmServer, call: Bare) -> None:
    host = call.create(_at(arm, "Microsoft.App/managedEnvironments/team4-env"), {"location": "westus2",
                       "properties": {}}, VERSIONS["app"])
    registry = call.create(_at(arm, "Microsoft.ContainerRegistry/registries/team4acr"), {
        "location": "westus2", "sku": {"name": "Basic"}, "properties": {"adminUserEnabled": True}},
        VERSIONS["registry"])
    server = registry["properties"]["loginServer"]
    login = call("POST", f"{registry['id']}/listCredentials", version=VERSIONS["registry"]).json()
    body = _app(host["id"], image=f"{server}/app@{arm.push(server, 'app')}")
    body["properties"]["configuration"] = {
        "secrets": [{"name": "pull", "value": login["passwords"][0]["value"]}],
        "registries": [{"server": server, "username": login["username"], "passwordSecretRef": "pull"}]}
    at = _at(arm, "Microsoft.App/containerApps/team4-api")
    made = call("PUT", at, body, VERSIONS["app"])
    young = made.json()
    assert made.status_code == 201 and young["properties"]["provisioningState"] == "InProgress"
    assert "/containerappOperationStatuses/" in made.headers["Azure-AsyncOperation"]
    assert young["id"].endswith("/containerapps/team4-api")
    app = call.settled(at, VERSIONS["app"])
    assert app["properties"]["configuration"]["secrets"] == [{"name": "pull"}]
    assert app["properties"]["managedEnvironmentId"] == app["properties"]["environmentId"] == host["id"]
    assert len(app["properties"]["outboundIpAddresses"]) > 60 and app["identity"] == {"type": "None"}
    revisions = call("GET", f"{at}/revisions", version=VERSIONS["app"]).json()["value"]
    assert [r["name"] for r in revisions] == [app["properties"]["latestRevisionName"]]
    answer = call("DELETE", host["id"], version=VERSIONS["app"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "ManagedEnvironmentHasContainerApps")
    # What a GET answers cannot be put back as it is.
    assert call("PUT", at, app, VERSIONS["app"]).json()["error"]["code"] == "InvalidRequestContent"


def test_alerts_and_workbooks(arm: ArmServer, call: Bare) -> None:
    workspace = call.create(_at(arm, "Microsoft.OperationalInsights/workspaces/team4-law"), {"location": "westus2"},
                            VERSIONS["logs"])
    rule = {"location": "westus2", "properties": {
        "severity": 2, "enabled": True, "scopes": [workspace["id"]], "evaluationFrequency": "PT5M",
        "windowSize": "PT5M", "criteria": {"allOf": [{
            "query": "AppRequests | count", "timeAggregation": "Count", "operator": "GreaterThan", "threshold": 0}]}}}
    at = _at(arm, "Microsoft.Insights/scheduledQueryRules/slo")
    assert call("PUT", at, rule, "2023-12-01").status_code == 201
    rule["properties"]["scopes"] = [f"{workspace['id']}-none"]
    assert call("PUT", at, rule, "2023-12-01").status_code == 400
    book = {"location": "westus2", "kind": "shared", "properties": {
        "displayName": "SLOs", "category": "workbook", "serializedData": "{}"}}
    assert call("PUT", _at(arm, "Microsoft.Insights/workbooks/slos"), book, "2023-06-01").json()["error"]["code"] == \
        "InvalidWorkbookId"
    assert call("PUT", _at(arm, f"Microsoft.Insights/workbooks/{uuid.uuid4()}"), book, "2023-06-01").status_code == 201
