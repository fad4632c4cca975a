"""Each resource type through Azure's own clients: statuses, styles of operations, what the server adds and refuses."""

from __future__ import annotations

import io
import tarfile
import uuid
from typing import Any

import pytest
import requests
from azure.mgmt.applicationinsights import ApplicationInsightsManagementClient
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.containerregistry import ContainerRegistryManagementClient
from azure.mgmt.eventhub import EventHubManagementClient
from azure.mgmt.keyvault import KeyVaultManagementClient
from azure.mgmt.loganalytics import LogAnalyticsManagementClient
from azure.mgmt.msi import ManagedServiceIdentityClient
from azure.mgmt.postgresqlflexibleservers import PostgreSQLManagementClient

from tests.azure.arm import ArmServer, Fault
from tests.azure.clients import VERSIONS, Bare, client, refused

TASKS = "2025-03-01-preview"
PASSWORD = f"Aa1-{uuid.uuid4().hex}"
SERVER = {"location": "uksouth", "sku": {"name": "Standard_B1ms", "tier": "Burstable"}, "properties": {
    "administratorLogin": "myadmin", "administratorLoginPassword": PASSWORD, "storage": {"storageSizeGB": 128},
    "version": "16"}}


@pytest.fixture
def group(arm: ArmServer) -> str:
    return Bare(arm).group()


def _statuses(arm: ArmServer, mark: int) -> list[int]:
    return [call.status for call in arm.record.since(mark)]


def test_a_flexible_server_is_202_only_polled_and_answered_as_recorded(arm: ArmServer, group: str) -> None:
    servers = client(arm, PostgreSQLManagementClient, VERSIONS["postgres"]).servers
    mark = arm.record.mark()
    poller = servers.begin_create_or_update("rg", "team4-pg", SERVER)
    made = poller.result()
    put, *polls = arm.record.since(mark)
    assert put.status == 202 and any("azureAsyncOperation" in call.path for call in polls)
    assert (made.location, made.state, made.network.public_network_access) == ("UK South", "Ready", "Enabled")
    assert made.fully_qualified_domain_name.startswith("127.")
    shown = Bare(arm)("GET", f"{group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/team4-pg",
                      version=VERSIONS["postgres"]).json()["properties"]
    recorded = {"replica", "storage", "network", "privateEndpointConnections", "dataEncryption", "authConfig",
                "version", "fullyQualifiedDomainName", "minorVersion", "administratorLogin",
                "state", "availabilityZone", "backup", "highAvailability", "maintenanceWindow", "replicationRole",
                "replicaCapacity"}
    assert set(shown) == recorded
    assert shown["storage"] == {"type": "", "iops": 500, "tier": "P10", "storageSizeGB": 128, "autoGrow": "Disabled"}
    assert arm.record.leaks([PASSWORD]) == []


def test_a_server_is_busy_while_an_operation_runs_and_hidden_at_first(arm: ArmServer, group: str) -> None:
    call, at = Bare(arm), f"{group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/team4-pg"
    arm.clock.scale = 10
    assert call("PUT", at, SERVER, VERSIONS["postgres"]).headers["Retry-After"] == "600"
    assert call("GET", at, version=VERSIONS["postgres"]).status_code == 404
    busy = call("PUT", at, SERVER, VERSIONS["postgres"])
    assert (busy.status_code, busy.json()["error"]["code"]) == (409, "ServerIsBusy")
    assert call("PUT", f"{at}/databases/db", {"properties": {}}, VERSIONS["postgres"]).json()["error"]["code"] == \
        "ParentResourceNotFound"


@pytest.mark.parametrize(("change", "code"), [
    ({"properties": {"administratorLogin": "other"}}, "PropertyChangeNotAllowed"),
    ({"properties": {"backup": {"geoRedundantBackup": "Enabled"}}}, "PropertyChangeNotAllowed"),
    ({"properties": {"storage": {"storageSizeGB": 64}}}, "StorageSizeDecreaseNotAllowed"),
    ({"properties": {"version": "15"}}, "VersionDowngradeNotAllowed"),
    ({"sku": {"name": "Standard_D2s_v3", "tier": "Burstable"}}, "InvalidParameterValue"),
    ({"properties": {"administratorLoginPassword": "simple"}}, "PasswordNotComplex"),
])
def test_what_a_server_refuses_to_change(arm: ArmServer, group: str, change: dict, code: str) -> None:
    call, at = Bare(arm), f"{group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/team4-pg"
    call.create(at, SERVER, VERSIONS["postgres"])
    answer = call("PATCH", at, change, VERSIONS["postgres"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    moved = call("PUT", at, {**SERVER, "location": "westus2"}, VERSIONS["postgres"])
    assert (moved.status_code, moved.json()["error"]["code"]) == (409, "InvalidResourceLocation")


def test_a_failed_creation_tells_its_error_by_the_operation_and_leaves_no_server(arm: ArmServer, group: str) -> None:
    servers = client(arm, PostgreSQLManagementClient, VERSIONS["postgres"]).servers
    arm.faults.inject("PUT", "/flexibleServers/", fault=Fault.fail_operation("InternalServerError"))
    poller = servers.begin_create_or_update("rg", "team4-pg", SERVER)
    with pytest.raises(Exception, match="InternalServerError"):
        poller.result()
    with refused(404, "ResourceNotFound"):
        servers.get("rg", "team4-pg")
    servers.begin_create_or_update("rg", "team4-pg", SERVER).result()


def test_databases_rules_and_parameters_are_202_only(arm: ArmServer, group: str) -> None:
    sql = client(arm, PostgreSQLManagementClient, VERSIONS["postgres"])
    sql.servers.begin_create_or_update("rg", "team4-pg", SERVER).result()
    mark = arm.record.mark()
    sql.databases.begin_create("rg", "team4-pg", "txlookup", {"properties": {"charset": "UTF8"}}).result()
    sql.firewall_rules.begin_create_or_update("rg", "team4-pg", "all", {
        "properties": {"startIpAddress": "0.0.0.0", "endIpAddress": "0.0.0.0"}}).result()
    sql.configurations.begin_update("rg", "team4-pg", "work_mem", {"properties": {
        "value": "8192", "source": "user-override"}}).result()
    assert [call.status for call in arm.record.writes(mark)] == [202, 202, 202]
    assert sql.configurations.get("rg", "team4-pg", "work_mem").source == "user-override"
    assert {d.name for d in sql.databases.list_by_server("rg", "team4-pg")} >= {"txlookup", "postgres"}
    with refused(404, "ConfigurationNotExists"):
        sql.configurations.get("rg", "team4-pg", "no_such_thing")
    sql.servers.begin_delete("rg", "team4-pg").result()
    assert [*sql.servers.list_by_resource_group("rg")] == []


def test_a_namespace_is_200_without_a_header_and_polled_by_its_state(arm: ArmServer, group: str) -> None:
    hubs = client(arm, EventHubManagementClient, VERSIONS["eventhub"])
    arm.clock.scale = 0.002
    poller = hubs.namespaces.begin_create_or_update("rg", "team4-evh", {
        "location": "westus2", "sku": {"name": "Standard", "tier": "Standard"},
        "properties": {"isAutoInflateEnabled": True, "maximumThroughputUnits": 1}})
    assert [call.status for call in arm.record.writes() if "/namespaces/" in call.path] == [200]
    young = hubs.namespaces.get("rg", "team4-evh")
    assert (young.provisioning_state, young.status) == ("Created", "Activating")
    made = poller.result()
    assert (made.provisioning_state, made.status, made.location) == ("Succeeded", "Active", "West US 2")
    assert made.kafka_enabled and made.sku.capacity == 1 and made.service_bus_endpoint.endswith(":443/")


def test_hubs_groups_and_rules_are_at_once_and_keys_come_by_listing_them(arm: ArmServer, group: str) -> None:
    hubs = client(arm, EventHubManagementClient, VERSIONS["eventhub"])
    hubs.namespaces.begin_create_or_update("rg", "team4-evh", {"location": "westus2"}).result()
    hub = hubs.event_hubs.create_or_update("rg", "team4-evh", "ledger", {"properties": {
        "partitionCount": 2, "retentionDescription": {"cleanupPolicy": "Delete", "retentionTimeInHours": 72}}})
    assert (hub.partition_ids, hub.message_retention_in_days, hub.status) == (["0", "1"], 3, "Active")
    with refused(400, "BadRequest"):
        hubs.event_hubs.create_or_update("rg", "team4-evh", "ledger", {"properties": {"partitionCount": 3}})
    with refused(400, "MessagingGatewayBadRequest"):
        hubs.event_hubs.create_or_update("rg", "team4-evh", "long", {"properties": {"messageRetentionInDays": 8}})
    hubs.consumer_groups.create_or_update("rg", "team4-evh", "ledger", "sync", {"properties": {}})
    assert [g.name for g in hubs.consumer_groups.list_by_event_hub("rg", "team4-evh", "ledger")] == ["$Default", "sync"]
    with refused(400, "BadRequest"):
        hubs.namespaces.create_or_update_authorization_rule("rg", "team4-evh", "m", {
            "properties": {"rights": ["Manage"]}})
    hubs.namespaces.create_or_update_authorization_rule("rg", "team4-evh", "listen", {
        "properties": {"rights": ["Listen"]}})
    keys = hubs.namespaces.list_keys("rg", "team4-evh", "listen")
    assert keys.primary_connection_string.startswith("Endpoint=sb://127.")
    assert arm.record.writes(arm.record.mark() - 1) == []


def test_a_deleted_vault_keeps_its_name_until_it_is_recovered_or_purged(arm: ArmServer, group: str) -> None:
    vaults = client(arm, KeyVaultManagementClient, VERSIONS["keyvault"]).vaults
    body = {"location": "westus2", "properties": {
        "tenantId": arm.tenant, "sku": {"family": "A", "name": "standard"}, "enableRbacAuthorization": True,
        "softDeleteRetentionInDays": 7}}
    poller = vaults.begin_create_or_update("rg", "team4-kv", body)
    assert [call.status for call in arm.record.writes() if "/vaults/" in call.path] == [200]
    made = poller.result()
    assert made.properties.provisioning_state == "Succeeded" and made.properties.vault_uri.endswith("/")
    assert made.location == "westus2" and made.properties.enable_soft_delete is True
    vaults.delete("rg", "team4-kv")
    assert vaults.get_deleted("team4-kv", "westus2").properties.vault_id.endswith("team4-kv")
    with refused(409, "ConflictError"):
        vaults.begin_create_or_update("rg", "team4-kv", body)
    recovered = vaults.begin_create_or_update("rg", "team4-kv", {**body, "properties": {
        **body["properties"], "createMode": "recover"}}).result()
    assert recovered.properties.soft_delete_retention_in_days == 7
    vaults.delete("rg", "team4-kv")
    vaults.begin_purge_deleted("team4-kv", "westus2").result()
    assert [*vaults.list_deleted()] == []
    vaults.begin_create_or_update("rg", "team4-kv", body).result()


def test_a_vault_refuses_what_the_service_refuses(arm: ArmServer, group: str) -> None:
    call, at = Bare(arm), f"{group}/providers/Microsoft.KeyVault/vaults/team4-kv"
    good = {"tenantId": arm.tenant, "sku": {"family": "A", "name": "standard"}, "enableRbacAuthorization": True}
    for change in ({"enableSoftDelete": False}, {"enablePurgeProtection": False}, {"softDeleteRetentionInDays": 3},
                   {"enableRbacAuthorization": False}):
        body = {"location": "westus2", "properties": good | change}
        assert call("PUT", at, body, VERSIONS["keyvault"]).status_code == 400, change
    arm.taken.add(("microsoft.keyvault/vaults", "team4-kv"))
    answer = call("PUT", at, {"location": "westus2", "properties": good}, VERSIONS["keyvault"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "VaultAlreadyExists")


def test_a_young_identity_is_not_found_unless_its_type_is_told(arm: ArmServer, group: str) -> None:
    arm.identity_lag = 3600 / arm.clock.scale
    identity = client(arm, ManagedServiceIdentityClient, VERSIONS["msi"]).user_assigned_identities.create_or_update(
        "rg", "team4-id", {"location": "West US 2"})
    roles = client(arm, AuthorizationManagementClient, VERSIONS["authorization"])
    reader = f"{arm.scope}/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
    wanted = {"roleDefinitionId": reader, "principalId": identity.principal_id}
    name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{group}{identity.principal_id}{reader}"))
    with refused(400, "PrincipalNotFound"):
        roles.role_assignments.create(group, name, {"properties": wanted})
    known = {"properties": {**wanted, "principalType": "ServicePrincipal"}}
    made = roles.role_assignments.create(group, name, known)
    assert made.scope == group
    roles.role_assignments.create(group, name, known)
    with refused(409, "RoleAssignmentExists"):
        roles.role_assignments.create(group, str(uuid.uuid4()), known)
    with refused(400, "InvalidRoleAssignmentId"):
        roles.role_assignments.create(group, "not-a-guid", known)
    assert [a.name for a in roles.role_assignments.list_for_scope(group)] == [name]


def test_a_workspace_comes_back_under_its_name_and_a_component_without_one_makes_a_group(
    arm: ArmServer, group: str) -> None:
    logs = client(arm, LogAnalyticsManagementClient, VERSIONS["logs"])
    body = {"location": "westus2", "properties": {"retentionInDays": 30, "sku": {"name": "PerGB2018"}}}
    made = logs.workspaces.begin_create_or_update("rg", "team4-law", body).result()
    assert made.sku.name == "pergb2018" and made.features is not None
    logs.workspaces.begin_delete("rg", "team4-law").result()
    again = logs.workspaces.begin_create_or_update("rg", "team4-law", body).result()
    assert again.customer_id == made.customer_id
    logs.workspaces.begin_delete("rg", "team4-law", force=True).result()
    assert logs.workspaces.begin_create_or_update("rg", "team4-law", body).result().customer_id != made.customer_id
    insights = client(arm, ApplicationInsightsManagementClient, VERSIONS["insights"])
    component = insights.components.create_or_update("rg", "team4-ai", {
        "location": "westus2", "kind": "web", "properties": {"Application_Type": "web"}})
    assert component.type == "microsoft.insights/components" and component.connection_string
    call = Bare(arm)
    managed = [g for g in call("GET", "/resourcegroups", version="2025-04-01").json()["value"] if g.get("managedBy")]
    assert [g["managedBy"] for g in managed] == [f"{group}/providers/Microsoft.Insights/components/team4-ai"]


def test_a_registry_has_credentials_where_its_admin_is_enabled_and_builds_digests(arm: ArmServer, group: str) -> None:
    registries = client(arm, ContainerRegistryManagementClient, VERSIONS["registry"]).registries
    body = {"location": "westus2", "sku": {"name": "Basic"}}
    made = registries.begin_create("rg", "team4acr", body).result()
    assert made.sku.tier == "Basic" and made.provisioning_state == "Succeeded"
    with refused(400, "UnAuthorizedForCredentialOperations"):
        registries.list_credentials("rg", "team4acr")
    with refused(400, "NetworkRuleSetNotSupported"):
        registries.begin_create("rg", "team4acr", {**body, "properties": {"publicNetworkAccess": "Disabled"}})
    call = Bare(arm)

    def build(source: str) -> dict[str, Any]:
        run = call("POST", f"{made.id}/scheduleRun", {
            "type": "DockerBuildRequest", "dockerFilePath": "Containerfile", "platform": {"os": "Linux"},
            "sourceLocation": source, "imageNames": ["txplan:1"]}, TASKS).json()
        while True:
            found: dict[str, Any] = call("GET", run["id"], version=TASKS).json()["properties"]
            if found["status"] != "Running":
                return found

    upload = call("POST", f"{made.id}/listBuildSourceUploadUrl", version=TASKS).json()
    assert build(upload["relativePath"])["status"] == "Failed"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("Containerfile"))
    sent = requests.put(upload["uploadUrl"], archive.getvalue(), headers={"x-ms-blob-type": "BlockBlob"}, timeout=10,
                        verify=str(arm.ca_bundle))
    assert sent.status_code == 201
    image = build(upload["relativePath"])["outputImages"][0]
    assert image["digest"].startswith("sha256:") and image["registry"] == made.login_server


def test_locks_and_deny_assignments_keep_what_they_are_on_and_what_is_above(arm: ArmServer, group: str) -> None:
    call = Bare(arm)
    identity = f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/team4-id"
    call.create(identity, {"location": "westus2"}, VERSIONS["msi"])
    lock = f"{identity}/providers/Microsoft.Authorization/locks/keep"
    assert call("PUT", lock, {"properties": {"level": "CanNotDelete"}}, VERSIONS["locks"]).status_code == 201
    for scope, version in ((identity, VERSIONS["msi"]), (group, VERSIONS["resources"])):
        answer = call("DELETE", scope, version=version)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "ScopeLocked")
    assert call("PUT", identity, {"location": "westus2"}, VERSIONS["msi"]).status_code == 200
    arm.lock(group, "ReadOnly", "frozen")
    assert call("PUT", identity, {"location": "westus2"}, VERSIONS["msi"]).json()["error"]["code"] == "ScopeLocked"
    found = call("GET", f"{group}/providers/Microsoft.Authorization/locks", version=VERSIONS["locks"]).json()["value"]
    assert {lock["properties"]["level"] for lock in found} == {"CanNotDelete", "ReadOnly"}
    assert call("DELETE", lock, version=VERSIONS["locks"]).status_code == 200
    other = call.group("platform")
    arm.deny(other)
    arm.manage("platform", "/subscriptions/x/providers/Microsoft.Databricks/workspaces/w")
    answer = call("DELETE", other, version=VERSIONS["resources"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "DenyAssignmentAuthorizationFailed")
    denied = call("GET", f"{other}/providers/Microsoft.Authorization/denyAssignments", version="2022-04-01").json()
    assert len(denied["value"]) == 1


def test_reads_come_after_writes_where_the_test_asks_for_it(arm: ArmServer, group: str) -> None:
    call, at = Bare(arm), f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/team4-id"
    arm.read_lag = 3600 / arm.clock.scale
    assert call("PUT", at, {"location": "westus2"}, VERSIONS["msi"]).status_code == 201
    assert call("GET", at, version=VERSIONS["msi"]).status_code == 404
    arm.read_lag = 0
    assert call("GET", at, version=VERSIONS["msi"]).status_code == 200


def test_an_operation_can_be_polled_on_by_another_process(arm: ArmServer, group: str) -> None:
    servers = client(arm, PostgreSQLManagementClient, VERSIONS["postgres"]).servers
    token = servers.begin_create_or_update("rg", "team4-pg", SERVER, polling_interval=0.01).continuation_token()
    mark = arm.record.mark()
    again = client(arm, PostgreSQLManagementClient, VERSIONS["postgres"]).servers
    assert again.begin_create_or_update("rg", "team4-pg", SERVER, continuation_token=token).result().state == "Ready"
    assert arm.record.writes(mark) == []
