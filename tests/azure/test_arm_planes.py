"""The data planes are real: secrets, PostgreSQL, Kafka, apps, jobs, each behind what ARM says of it."""

from __future__ import annotations

import json
import os
import uuid
from typing import Any

import psycopg
import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.keyvault.secrets import SecretClient

from tests.azure.arm import ArmServer
from tests.azure.clients import VERSIONS, Bare, credential
from tests.brokers.server import wait_for

PASSWORD = f"Aa1-{uuid.uuid4().hex}"
APP = '''
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{os.environ['GREETING']} {os.environ['SECRET']} {self.path}".encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer((os.environ["WEB_HOST"], int(os.environ["WEB_PORT"])), Handler).serve_forever()
'''


@pytest.fixture(scope="module")
def call(arm_real: ArmServer) -> Bare:
    return Bare(arm_real)


@pytest.fixture(scope="module")
def group(call: Bare) -> str:
    return call.group()


def _vault(arm: ArmServer, call: Bare, group: str, **more: Any) -> dict[str, Any]:
    at = f"{group}/providers/Microsoft.KeyVault/vaults/kv-{uuid.uuid4().hex[:8]}"
    return call.create(at, {"location": "westus2", "properties": {
        "tenantId": arm.tenant, "sku": {"family": "A", "name": "standard"}, "enableRbacAuthorization": True, **more}},
        VERSIONS["keyvault"])


def _secrets(arm: ArmServer, vault: dict[str, Any]) -> SecretClient:
    return SecretClient(vault["properties"]["vaultUri"], credential(arm), verify_challenge_resource=False,
                        connection_verify=str(arm.ca_bundle), retry_total=0)


def test_secrets_want_a_role_have_versions_and_are_deleted_softly(
    arm_real: ArmServer, call: Bare, group: str) -> None:
    vault = _vault(arm_real, call, group)
    secrets = _secrets(arm_real, vault)
    with pytest.raises(HttpResponseError, match="not authorized"):
        secrets.set_secret("api-token", "v1")
    call.role(vault["id"], "Key Vault Secrets Officer", arm_real.owner.object_id)
    first = secrets.set_secret("api-token", "v1", tags={"fingerprint": "f"})
    secrets.set_secret("api-token", "the-second-value")
    assert secrets.get_secret("api-token").value == "the-second-value"
    assert secrets.get_secret("api-token", first.properties.version).properties.tags == {"fingerprint": "f"}
    assert len([*secrets.list_properties_of_secret_versions("api-token")]) == 2
    secrets.begin_delete_secret("api-token").wait()
    with pytest.raises(ResourceNotFoundError):
        secrets.get_secret("api-token")
    with pytest.raises(HttpResponseError, match="recoverable"):
        secrets.set_secret("api-token", "v3")
    secrets.begin_recover_deleted_secret("api-token").wait()
    assert [p.name for p in secrets.list_properties_of_secrets()] == ["api-token"]
    assert arm_real.record.leaks(["the-second-value"]) == []


def test_a_role_takes_its_time_to_work_and_a_private_vault_answers_nobody_outside(
    arm_real: ArmServer, call: Bare, group: str) -> None:
    vault = _vault(arm_real, call, group)
    arm_real.role_lag = 3600 / arm_real.clock.scale
    call.role(vault["id"], "Key Vault Secrets Officer", arm_real.owner.object_id)
    arm_real.role_lag = 0
    with pytest.raises(HttpResponseError, match="not authorized"):
        _secrets(arm_real, vault).set_secret("a", "b")
    closed = _vault(arm_real, call, group, publicNetworkAccess="Disabled")
    call.role(closed["id"], "Key Vault Secrets Officer", arm_real.owner.object_id)
    with pytest.raises(HttpResponseError, match="Public network access is disabled"):
        _secrets(arm_real, closed).set_secret("a", "b")
    network = call.create(f"{group}/providers/Microsoft.Network/virtualNetworks/team4-vnet", {
        "location": "westus2", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": [
            {"name": "pe", "properties": {"addressPrefix": "10.0.0.0/24"}}]}}, "2024-05-01")
    link = {"name": "kv", "properties": {"privateLinkServiceId": closed["id"], "groupIds": ["vault"]}}
    endpoint = {"subnet": {"id": f"{network['id']}/subnets/pe"}, "privateLinkServiceConnections": [link]}
    call.create(f"{group}/providers/Microsoft.Network/privateEndpoints/team4-pe",
                {"location": "westus2", "properties": endpoint}, "2024-05-01")
    arm_real.inside = True
    assert _secrets(arm_real, closed).set_secret("a", "b").value == "b"
    arm_real.inside = False


def test_a_flexible_server_is_a_postgresql_behind_a_firewall(arm_real: ArmServer, call: Bare, group: str) -> None:
    at, version = f"{group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/team4-pg", VERSIONS["postgres"]
    server = call.create(at, {"location": "westus2", "sku": {"name": "Standard_B1ms", "tier": "Burstable"},
                              "properties": {"administratorLogin": "myadmin", "version": "18",
                                             "administratorLoginPassword": PASSWORD, "storage": {"storageSizeGB": 32}}},
                         version)
    reach = {"host": server["properties"]["fullyQualifiedDomainName"], "port": 5432, "user": "myadmin",
             "password": PASSWORD, "sslmode": "verify-full", "sslrootcert": str(arm_real.ca_bundle),
             "connect_timeout": 5}
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dbname="postgres", **reach)
    call.create(f"{at}/firewallRules/me", {"properties": {"startIpAddress": "127.0.0.1", "endIpAddress": "127.0.0.1"}},
                version)
    call.create(f"{at}/databases/txlookup", {"properties": {}}, version)
    call.create(f"{at}/configurations/work_mem", {"properties": {"value": "8192", "source": "user-override"}}, version)
    with psycopg.connect(dbname="txlookup", **reach) as conn:
        assert conn.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
        conn.execute("CREATE SCHEMA bo")
        assert conn.execute("SHOW work_mem").fetchone() == ("8MB",)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dbname="txlookup", **{**reach, "sslmode": "disable", "sslrootcert": ""})
    call.create(at, {"location": "westus2", "properties": {"administratorLoginPassword": f"{PASSWORD}!"}}, version)
    with psycopg.connect(dbname="txlookup", **{**reach, "password": f"{PASSWORD}!"}):
        pass


@pytest.fixture(scope="module")
def environment(arm_real: ArmServer, call: Bare, group: str) -> dict[str, str]:
    """An environment, a registry with an image, an identity that may pull it."""
    registry = call.create(f"{group}/providers/Microsoft.ContainerRegistry/registries/team4acr",
                           {"location": "westus2", "sku": {"name": "Basic"}}, VERSIONS["registry"])
    identity = call.create(f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/team4-id",
                           {"location": "westus2"}, VERSIONS["msi"])
    call.role(registry["id"], "AcrPull", identity["properties"]["principalId"])
    workspace = call.create(f"{group}/providers/Microsoft.OperationalInsights/workspaces/team4-law",
                            {"location": "westus2"}, VERSIONS["logs"])
    keys = call("POST", f"{workspace['id']}/sharedKeys", version=VERSIONS["logs"]).json()
    logs = {"destination": "log-analytics", "logAnalyticsConfiguration": {
        "customerId": workspace["properties"]["customerId"], "sharedKey": keys["primarySharedKey"]}}
    host = call.create(f"{group}/providers/Microsoft.App/managedEnvironments/team4-env", {
        "location": "westus2", "properties": {"appLogsConfiguration": logs}}, VERSIONS["app"])
    server = registry["properties"]["loginServer"]
    return {"id": host["id"], "workspace": workspace["properties"]["customerId"],
            "server": server, "identity": identity["id"], "principal":
            identity["properties"]["principalId"], "image": f"{server}/app@{arm_real.push(server, 'app')}"}


def _app(environment: dict[str, str], image: str, greeting: str, secret: dict[str, str]) -> dict[str, Any]:
    probe = {"type": "Readiness", "httpGet": {"path": "/readyz", "port": 8000}}
    return {
        "location": "westus2", "identity": {"type": "UserAssigned", "userAssignedIdentities": {
            environment["identity"]: {}}},
        "properties": {
            "environmentId": environment["id"], "configuration": {
                "secrets": [secret], "ingress": {"external": True, "targetPort": 8000},
                "registries": [{"server": environment["server"], "identity": environment["identity"]}]},
            "template": {"scale": {"minReplicas": 2, "maxReplicas": 2}, "containers": [{
                "name": "api", "image": image, "command": ["python", "-c", APP], "probes": [probe],
                "resources": {"cpu": 0.25, "memory": "0.5Gi"}, "env": [
                    {"name": "GREETING", "value": greeting}, {"name": "SECRET", "secretRef": "word"},
                    {"name": "WEB_HOST", "value": "0.0.0.0"}, {"name": "WEB_PORT", "value": "8000"}]}]}}}


def _greeting(arm: ArmServer, fqdn: str) -> str:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"https://{fqdn}/hello", verify=str(arm.ca_bundle), timeout=10).text


def test_an_app_runs_its_replicas_behind_its_ingress_and_changes_by_revisions(
    arm_real: ArmServer, call: Bare, group: str, environment: dict[str, str]) -> None:
    vault = _vault(arm_real, call, group)
    call.role(vault["id"], "Key Vault Secrets Officer", arm_real.owner.object_id)
    secret = _secrets(arm_real, vault).set_secret("word", "open-sesame")
    at, version = f"{group}/providers/Microsoft.App/containerApps/team4-api", VERSIONS["app"]
    reference = {"name": "word", "keyVaultUrl": str(secret.id).rsplit("/", 1)[0], "identity": environment["identity"]}
    body = _app(environment, environment["image"], "hello", reference)
    # The identity has no role at the vault yet: the operation fails and says so.
    answer = call("PUT", at, body, version)
    assert answer.status_code == 201 and "Azure-AsyncOperation" in answer.headers
    wait_for(lambda: call("GET", at, version=version).json()["properties"]["provisioningState"] != "InProgress")
    assert call("GET", answer.headers["Azure-AsyncOperation"]).json()["error"]["code"] == \
        "ContainerAppSecretKeyVaultUrlInvalid"
    call.role(vault["id"], "Key Vault Secrets User", environment["principal"])
    app = call.create(at, body, version)["properties"]
    fqdn, first = app["configuration"]["ingress"]["fqdn"], app["latestRevisionName"]
    wait_for(lambda: _greeting(arm_real, fqdn) == "hello open-sesame /hello")
    assert app["configuration"]["secrets"] == [reference]
    replicas = call("GET", f"{at}/revisions/{first}/replicas", version=version).json()["value"]
    assert len(replicas) == 2
    # Another template is another revision; the old one serves until the new one is ready.
    app = call.create(at, _app(environment, environment["image"], "good day", reference), version)["properties"]
    second = app["latestRevisionName"]
    assert second != first
    wait_for(lambda: _greeting(arm_real, fqdn).startswith("good day"))
    wait_for(lambda: call("GET", f"{at}/revisions/{first}", version=version).json()["properties"]["active"] is False)
    same = call.create(at, _app(environment, environment["image"], "good day", reference), version)["properties"]
    assert same["latestRevisionName"] == second


def test_an_image_must_be_a_digest_that_the_registry_has_and_who_pulls_may(
    arm_real: ArmServer, call: Bare, group: str, environment: dict[str, str]) -> None:
    at, version = f"{group}/providers/Microsoft.App/containerApps/team4-none", VERSIONS["app"]
    secret = {"name": "word", "value": "w"}
    tagged = _app(environment, f"{environment['server']}/app:latest", "x", secret)
    unknown = _app(environment, environment["image"], "x", secret)
    unknown["properties"]["configuration"]["registries"] = []
    for body, word in ((tagged, "MANIFEST_UNKNOWN"), (unknown, "UNAUTHORIZED")):
        answer = call("PUT", at, body, version)
        wait_for(lambda: call("GET", at, version=version).json()["properties"]["provisioningState"] == "Failed")
        operation = call("GET", answer.headers["Azure-AsyncOperation"]).json()
        assert operation["status"] == "Failed" and word in operation["error"]["message"]


def test_a_job_runs_to_its_end_with_retries_and_its_log_is_streamed(
    arm_real: ArmServer, call: Bare, group: str, environment: dict[str, str]) -> None:
    at, version = f"{group}/providers/Microsoft.App/jobs/team4-job", VERSIONS["app"]
    code = ("import os,sys,json; print(json.dumps({'n': os.environ['N'], 's': len(os.environ['S'])})); "
            "sys.exit(int(os.environ['N']))")
    container = {"name": "job", "image": environment["image"], "command": ["python", "-c", code],
                 "resources": {"cpu": 0.5, "memory": "1Gi"},
                 "env": [{"name": "N", "value": "0"}, {"name": "S", "secretRef": "word"}]}
    call.create(at, {"location": "westus2", "identity": {
        "type": "UserAssigned", "userAssignedIdentities": {environment["identity"]: {}}}, "properties": {
        "environmentId": environment["id"], "template": {"containers": [container]}, "configuration": {
            "triggerType": "Manual", "replicaTimeout": 60, "replicaRetryLimit": 1, "manualTriggerConfig": {
                "parallelism": 1, "replicaCompletionCount": 1}, "secrets": [{"name": "word", "value": "four"}],
            "registries": [{"server": environment["server"], "identity": environment["identity"]}]}}}, version)

    def run(number: str) -> tuple[str, list[str]]:
        env = [{"name": "N", "value": number}, {"name": "S", "secretRef": "word"}]
        started = call("POST", f"{at}/start", {"containers": [{**container, "env": env}]}, version)
        assert started.status_code == 202, started.text
        execution = started.json()["id"]
        replica = call("GET", f"{execution}/replicas", version=version).json()["value"][0]["name"]
        token = call("POST", f"{at}/getAuthToken", version=version).json()["properties"]["token"]
        log = requests.get(f"{arm_real.endpoint}{execution.replace('/providers/Microsoft.App', '')}/replicas/{replica}"
                           "/containers/job/logstream?follow=true&output=text", timeout=60,
                           headers={"Authorization": f"Bearer {token}"}, verify=str(arm_real.ca_bundle))
        lines = [line[line.index("{"):] for line in log.text.splitlines() if "{" in line]
        wait_for(lambda: call("GET", execution, version=version).json()["properties"]["status"] != "Running")
        return call("GET", execution, version=version).json()["properties"]["status"], lines

    # Without a command it is the image's own, the service.
    own = {**container, "command": [], "args": ["--help"]}
    served = call("POST", f"{at}/start", {"containers": [own]}, version)
    wait_for(lambda: call("GET", served.json()["id"], version=version).json()["properties"]["status"] != "Running")
    assert run("0") == ("Succeeded", [json.dumps({"n": "0", "s": 4})])
    assert run("3") == ("Failed", [json.dumps({"n": "3", "s": 4})] * 2)
    # What was written is in the workspace, after the job is gone too.
    call("DELETE", at, version=version)
    wait_for(lambda: call("GET", at, version=version).status_code == 404)
    url = f"{arm_real.logs_endpoint}/workspaces/{environment['workspace']}/query"
    kql = "ContainerAppConsoleLogs_CL | where ContainerJobName_s == 'team4-job' | project Log_s"
    rows = call("POST", url, {"query": kql}).json()["tables"][0]["rows"]
    assert any(row[0].startswith("usage: python -m streamapp") for row in rows)
    printed = sorted(row[0] for row in rows if row[0].startswith("{"))
    assert printed == [json.dumps({"n": n, "s": 4}) for n in ("0", "3", "3")]
    assert call("POST", url, {"query": "ContainerAppConsoleLogs_CL | join x"}).status_code == 400


def test_nothing_of_this_process_is_in_a_container(
    arm_real: ArmServer, call: Bare, group: str, environment: dict[str, str]) -> None:
    os.environ["NOT_FOR_CONTAINERS"] = "1"
    at, version = f"{group}/providers/Microsoft.App/jobs/team4-env", VERSIONS["app"]
    container = {"name": "job", "image": environment["image"],
                 "command": ["python", "-c", "import os,sys; sys.exit('NOT_FOR_CONTAINERS' in os.environ)"]}
    call.create(at, {"location": "westus2", "identity": {
        "type": "UserAssigned", "userAssignedIdentities": {environment["identity"]: {}}}, "properties": {
        "environmentId": environment["id"], "template": {"containers": [container]}, "configuration": {
            "triggerType": "Manual", "replicaTimeout": 60, "manualTriggerConfig": {},
            "registries": [{"server": environment["server"], "identity": environment["identity"]}]}}}, version)
    execution = call("POST", f"{at}/start", version=version).json()["id"]
    wait_for(lambda: call("GET", execution, version=version).json()["properties"]["status"] != "Running")
    assert call("GET", execution, version=version).json()["properties"]["status"] == "Succeeded"
