"""What ARM itself checks before any resource type: tokens, api-versions, rights, registration, bodies."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential, WorkloadIdentityCredential
from azure.mgmt.resource.resources import ResourceManagementClient

from tests.azure.arm import ArmServer, Fault
from tests.azure.clients import VERSIONS, Bare, client, credential, refused


def test_a_call_without_a_valid_token_is_401_with_the_challenge(arm: ArmServer) -> None:
    url = f"{arm.endpoint}{arm.scope}/resourcegroups/rg?api-version=2025-04-01"
    bare = requests.get(url, verify=str(arm.ca_bundle), timeout=10)
    assert (bare.status_code, bare.json()["error"]["code"]) == (401, "AuthenticationFailed")
    assert bare.headers["WWW-Authenticate"].startswith(f'Bearer authorization_uri="{arm.authority}/{arm.tenant}"')
    vault_token = arm.directory.token(arm.owner, "https://vault.azure.net")
    for token, code in (("x.y.z", "InvalidAuthenticationToken"), (vault_token, "InvalidAuthenticationTokenAudience")):
        answer = requests.get(url, headers={"Authorization": f"Bearer {token}"}, verify=str(arm.ca_bundle), timeout=10)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)


def test_an_expired_token_is_refused(arm: ArmServer) -> None:
    arm.directory.lifetime = -1
    answer = Bare(arm)("GET", "/resourcegroups", version="2025-04-01")
    assert answer.json()["error"]["code"] == "ExpiredAuthenticationToken"


def test_azure_identity_signs_in_with_a_secret_and_with_a_federated_token(arm: ArmServer, tmp_path) -> None:
    scope = f"{arm.endpoint}/.default"
    assert credential(arm).get_token(scope).token.count(".") == 2
    token_file = tmp_path / "federated"
    token_file.write_text(arm.owner.assertion)
    federated = WorkloadIdentityCredential(
        tenant_id=arm.tenant, client_id=arm.owner.client_id, token_file_path=str(token_file), authority=arm.authority,
        disable_instance_discovery=True, connection_verify=str(arm.ca_bundle))
    assert arm.directory.claims(federated.get_token(scope).token)["oid"] == arm.owner.object_id
    wrong = ClientSecretCredential(arm.tenant, arm.owner.client_id, "wrong", authority=arm.authority,
                                   disable_instance_discovery=True, connection_verify=str(arm.ca_bundle))
    try:
        wrong.get_token(scope)
    except ClientAuthenticationError as problem:
        assert "AADSTS7000215" in str(problem)
    else:
        raise AssertionError("a wrong secret was taken")


def test_api_versions_are_checked(arm: ArmServer) -> None:
    call = Bare(arm)
    group = call.group()
    assert call("GET", "/resourcegroups/rg").json()["error"]["code"] == "MissingApiVersionParameter"
    assert call("GET", "/resourcegroups/rg", version="2019-13").json()["error"]["code"] == "InvalidApiVersionParameter"
    answer = call("GET", f"{group}/providers/Microsoft.App/containerApps/a", version="2020-01-01")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "NoRegisteredProviderFound")


def test_a_provider_has_to_be_registered_before_it_is_written_to() -> None:
    with ArmServer.running(registered=False) as arm:
        call = Bare(arm)
        group = call.group()
        identity = f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/one-id"
        answer = call("PUT", identity, {"location": "westus2"}, VERSIONS["msi"])
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "MissingSubscriptionRegistration")
        # The SDK registers by itself where the call is no long-running operation.
        resources = client(arm, ResourceManagementClient, VERSIONS["resources"])
        assert resources.providers.get("Microsoft.ManagedIdentity").registration_state == "NotRegistered"
        resources.providers.register("Microsoft.ManagedIdentity")
        assert call("PUT", identity, {"location": "westus2"}, VERSIONS["msi"]).status_code == 201


def test_rights_are_looked_at(arm: ArmServer) -> None:
    call = Bare(arm)
    call.group()
    arm.restrict(("*/read",))
    assert call("GET", "/resourcegroups/rg", version="2025-04-01").status_code == 200
    answer = call("PUT", "/resourcegroups/rg", {"location": "westus2"}, "2025-04-01")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "AuthorizationFailed")
    permissions = call("GET", "/resourceGroups/rg/providers/Microsoft.Authorization/permissions", version="2022-04-01")
    assert permissions.json()["value"][0]["actions"] == ["*/read"]


def test_every_problem_of_a_body_is_told_in_arms_shape(arm: ArmServer) -> None:
    call = Bare(arm)
    group = call.group()
    body = {"location": "westus2", "properties": {
        "provisioningState": "Succeeded", "template": {"containers": [{"resources": {"cpu": 0.25}, "foo": 1}]},
        "configuration": {"ingress": {"transport": "carrier-pigeon", "targetPort": "8000"}}}}
    answer = call("PUT", f"{group}/providers/Microsoft.App/containerApps/app", body, VERSIONS["app"])
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "InvalidRequestContent")
    assert sorted(detail["target"] for detail in error["details"]) == [
        "properties.configuration.ingress.targetPort", "properties.configuration.ingress.transport",
        "properties.provisioningState", "properties.template.containers[0].foo"]
    assert call("PUT", f"{group}/providers/Microsoft.App/containerApps/app", {}, VERSIONS["app"]).json()["error"][
        "code"] == "LocationRequired"


def test_the_namespaces_name_may_be_six_long_although_the_pattern_says_eight(arm: ArmServer) -> None:
    call = Bare(arm)
    group = call.group()
    at = f"{group}/providers/Microsoft.EventHub/namespaces"
    assert call("PUT", f"{at}/abcdef", {"location": "westus2"}, VERSIONS["eventhub"]).status_code == 200
    assert call("PUT", f"{at}/abcde", {"location": "westus2"}, VERSIONS["eventhub"]).status_code == 400


def test_groups_through_the_sdk_made_found_by_tag_and_deleted(arm: ArmServer) -> None:
    resources = client(arm, ResourceManagementClient, VERSIONS["resources"])
    made = resources.resource_groups.create_or_update("rg", {"location": "West US 2", "tags": {"owner": "kim"}})
    assert (made.location, made.properties.provisioning_state) == ("westus2", "Succeeded")
    with refused(404, "ResourceGroupNotFound"):
        resources.resource_groups.get("other")
    Bare(arm).create(f"{made.id}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/one-id",
                     {"location": "westus2", "tags": {"owner": "kim"}}, VERSIONS["msi"])
    found = [*resources.resources.list(filter="tagName eq 'owner' and tagValue eq 'kim'")]
    assert [(r.name, r.type) for r in found] == [("one-id", "Microsoft.ManagedIdentity/userAssignedIdentities")]
    assert [g.name for g in resources.resource_groups.list(filter="tagName eq 'owner' and tagValue eq 'lee'")] == []
    mark = arm.record.mark()
    resources.resource_groups.begin_delete("rg").result()
    statuses = [call.status for call in arm.record.since(mark)]
    assert statuses[0] == 202 and statuses[-1] == 200 and set(statuses[1:-1]) <= {202}
    assert not arm.state.resources


def test_injected_faults_come_true_at_the_nth_call_and_the_sdk_obeys_retry_after(arm: ArmServer) -> None:
    resources = client(arm, ResourceManagementClient, VERSIONS["resources"])
    arm.faults.inject("PUT", "/resourcegroups/rg$", nth=2, fault=Fault.status(429, retry_after=10))
    arm.faults.inject("GET", "/resourcegroups/rg$", fault=Fault.reset())
    resources.resource_groups.create_or_update("rg", {"location": "westus2"})
    resources.resource_groups.create_or_update("rg", {"location": "westus2", "tags": {"n": "2"}})
    assert resources.resource_groups.get("rg").tags == {"n": "2"}
    assert [call.status for call in arm.record.calls if call.method == "PUT"] == [201, 429, 200]
    assert arm.faults.hits() == 2


def test_a_reset_after_the_work_leaves_the_work_done(arm: ArmServer) -> None:
    call = Bare(arm)
    arm.faults.inject("PUT", "/resourcegroups/rg$", fault=Fault.reset(after=True))
    try:
        call("PUT", "/resourcegroups/rg", {"location": "westus2"}, "2025-04-01")
    except requests.ConnectionError:
        assert call("GET", "/resourcegroups/rg", version="2025-04-01").status_code == 200
    else:
        raise AssertionError("the connection was not reset")


def test_the_record_tells_writes_from_reads_and_finds_a_secret_where_it_must_not_be(arm: ArmServer) -> None:
    call = Bare(arm)
    call.group()
    mark = arm.record.mark()
    call("GET", "/resourcegroups/rg", version="2025-04-01")
    assert arm.record.writes(mark) == [] and len(arm.record.reads(mark)) == 1
    assert arm.record.leaks(["s3cret-value"]) == []
    call("PUT", "/resourcegroups/rg", {"location": "westus2", "tags": {"note": "s3cret-value"}}, "2025-04-01")
    assert [leak.rsplit(": ")[-1] for leak in arm.record.leaks(["s3cret-value"])] == ["tags"]


def test_a_limit_is_told_by_429_and_the_sdk_waits(arm: ArmServer) -> None:
    resources = client(arm, ResourceManagementClient, VERSIONS["resources"], retry_total=20)
    arm.limit = (3, 50.0)
    for number in range(8):
        resources.resource_groups.create_or_update(f"rg{number}", {"location": "westus2"})
    statuses = [call.status for call in arm.record.since(0)]
    assert statuses.count(201) == 8 and 429 in statuses


def test_a_global_name_is_asked_for_before_it_is_taken(arm: ArmServer) -> None:
    call = Bare(arm)
    at = "/providers/Microsoft.KeyVault/checkNameAvailability"
    body = {"name": "team4-kv", "type": "Microsoft.KeyVault/vaults"}
    assert call("POST", at, body, VERSIONS["keyvault"]).json()["nameAvailable"] is True
    arm.taken.add(("microsoft.keyvault/vaults", "team4-kv"))
    assert call("POST", at, body, VERSIONS["keyvault"]).json()["reason"] == "AlreadyExists"


def test_latency_is_for_each_call_and_the_record_tells_how_many_ran_at_once(arm: ArmServer) -> None:
    call = Bare(arm)
    call.group()
    arm.latency = 0.2
    mark = arm.record.mark()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: call("GET", "/resourcegroups/rg", version="2025-04-01"), range(4)))
    assert all(found.ended - found.started >= 0.2 for found in arm.record.since(mark))
    assert arm.record.peak(mark) > 1
