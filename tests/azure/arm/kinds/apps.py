"""Microsoft.App: environments, container apps with their revisions and replicas. Apps run as processes."""

from __future__ import annotations

import random
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.azure.arm import templates
from tests.azure.arm.bodies import filled, normal
from tests.azure.arm.clock import stamp
from tests.azure.arm.errors import ArmError, bad
from tests.azure.arm.planes.revisions import Ingress, Revision
from tests.azure.arm.resource import ASYNC_201, LOCATION_201, LOCATION_202, Put, ResourceType
from tests.azure.arm.state import Resource
from tests.azure.arm.web import Answer, Request

VERSION = "2026-01-01"


class Environments(ResourceType):
    type = "Microsoft.App/managedEnvironments"
    version = VERSION
    style, delete_style = LOCATION_201, LOCATION_202
    seconds, update_seconds, delete_seconds = 180.0, 30.0, 120.0
    displays_location = True
    immutable = ("properties.vnetConfiguration.infrastructureSubnetId", "properties.vnetConfiguration.internal",
                 "properties.zoneRedundant", "properties.infrastructureResourceGroup")
    immutable_error = (400, "ManagedEnvironmentPropertyCannotBeChanged")

    def prepare(self, put: Put) -> None:
        logs = (put.properties.get("appLogsConfiguration") or {})
        config = logs.get("logAnalyticsConfiguration") or {}
        if logs.get("destination") == "log-analytics" and put.old is None:
            known = [w for w in self.state.of_type("Microsoft.OperationalInsights/workspaces")
                     if w.private["customer"] == config.get("customerId")]
            keys = (known[0].private["primary"], known[0].private["secondary"]) if known else ()
            if config.get("sharedKey") not in keys:
                raise bad("InvalidRequestParameterWithDetails", "LogAnalyticsConfiguration is invalid: the customerId "
                          "or the sharedKey is not a workspace's.")
        subnet = (put.properties.get("vnetConfiguration") or {}).get("infrastructureSubnetId")
        if subnet is not None:
            self.arm.networks.require_delegated(subnet, "Microsoft.App/environments", 27)

    def fill(self, resource: Resource) -> None:
        private = resource.private
        private.setdefault("id", secrets.token_hex(16))
        properties = resource.properties
        filled(properties, workloadProfiles=[], zoneRedundant=False, publicNetworkAccess="Enabled",
               peerAuthentication={"mtls": {"enabled": False}},
               peerTrafficConfiguration={"encryption": {"enabled": False}})
        if not any(p.get("name") == "Consumption" for p in properties["workloadProfiles"]):
            properties["workloadProfiles"].append({"workloadProfileType": "Consumption", "name": "Consumption",
                                                   "enableFips": False})

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        properties = body["properties"]
        logs = properties.get("appLogsConfiguration") or {}
        if logs.get("logAnalyticsConfiguration"):
            logs["logAnalyticsConfiguration"] |= {"sharedKey": None}
        place = body["location"].replace(" ", "").lower()
        properties |= {
            "defaultDomain": f"{resource.private['id'][:12]}.{place}.azurecontainerapps.io", "staticIp": "127.0.0.1",
            "daprAIInstrumentationKey": None, "daprAIConnectionString": None, "infrastructureResourceGroup": None,
            "kedaConfiguration": {"version": "2.17.2"}, "daprConfiguration": {"version": "1.13.6-msft.6"},
            "eventStreamEndpoint": f"{self.arm.endpoint}/eventstream", "vnetConfiguration":
                properties.get("vnetConfiguration"),
            "customDomainConfiguration": {"customDomainVerificationId": resource.private["id"], "dnsSuffix": None},
        }
        return body

    def may_delete(self, resource: Resource) -> None:
        users = [r for r in self.state.resources.values() if r.kind.type in ("Microsoft.App/containerApps",
                 "Microsoft.App/jobs") and templates.environment_of(r.body) == resource.id.lower()]
        if users:
            raise ArmError(409, "ManagedEnvironmentHasContainerApps", f"Cannot delete '{resource.name}' because there "
                           f"are apps or jobs in it: '{users[0].name}'.")


class Apps(ResourceType):
    type = "Microsoft.App/containerApps"
    version = VERSION
    style, delete_style = ASYNC_201, LOCATION_202
    seconds, update_seconds, delete_seconds = 40.0, 30.0, 20.0
    operations_path = "containerappOperationStatuses"
    busy = "ContainerAppOperationInProgress"
    displays_location = True
    immutable = ("properties.environmentId", "properties.managedEnvironmentId")
    immutable_error = (400, "ContainerAppEnvironmentCannotBeChanged")

    def prepare(self, put: Put) -> None:
        templates.check_host(self, put)
        templates.check_template(put.properties)
        scale = (put.properties.get("template") or {}).get("scale") or {}
        if (scale.get("minReplicas") or 0) > (scale.get("maxReplicas") or 10):
            raise bad("ContainerAppInvalidScaleSpec", "minReplicas is above maxReplicas.")
        ingress = (put.properties.get("configuration") or {}).get("ingress") or {}
        weights = [t.get("weight") or 0 for t in ingress.get("traffic") or []]
        if weights and sum(weights) != 100:
            raise bad("ContainerAppInvalidTrafficWeight", f"The traffic weights sum up to {sum(weights)}, not 100.")
        if ingress and not ingress.get("targetPort"):
            raise bad("ContainerAppIngressTargetPortRequired", "An ingress wants a targetPort.")
        if put.old is not None:
            self._check_suffix(put)

    def _check_suffix(self, put: Put) -> None:
        assert put.old is not None
        suffix = (put.properties.get("template") or {}).get("revisionSuffix")
        used = put.old.private["revisions"]
        changed = normal(put.properties.get("template")) != normal(put.old.properties.get("template"))
        if suffix and changed and f"{put.old.name}--{suffix}" in used:
            raise bad("ContainerAppRevisionSuffixInUse", f"A revision with the suffix '{suffix}' already exists.")

    def fill(self, resource: Resource) -> None:
        private, properties = resource.private, resource.properties
        private.setdefault("revisions", {})
        private.setdefault("running", {})
        private.setdefault("lock", threading.RLock())
        environment = templates.environment_of(resource.body)
        found = self.state.get(environment)
        place = found.id if found is not None else environment
        properties |= {"managedEnvironmentId": place, "environmentId": place}
        filled(properties, workloadProfileName="Consumption", configuration={}, template={})
        filled(properties["configuration"], activeRevisionsMode="Single", identitySettings=[])
        filled(resource.body, identity={"type": "None"})
        ingress = properties["configuration"].get("ingress")
        if ingress:
            filled(ingress, external=False, transport="Auto", allowInsecure=False,
                   traffic=[{"weight": 100, "latestRevision": True}])
        template = properties["template"]
        if normal(template) != normal(private.get("template")):
            suffix = template.get("revisionSuffix") or secrets.token_hex(4)[:7]
            private["latest"] = f"{resource.name}--{suffix}"
            private["revisions"][private["latest"]] = {"template": template, "created": stamp()}
            private["template"] = template

    def work(self, resource: Resource, old: Mapping[str, Any] | None) -> Callable[[], Any] | None:
        # Read as it is put: what the image's registry and the vault allow is asked before anything starts.
        body, name = resource.body, resource.private["latest"]

        def deploy() -> None:
            values = templates.secret_values(self.arm, body)
            templates.check_pull(self.arm, body)
            with resource.private["lock"]:
                self._route(resource)
                if self.arm.real and name not in resource.private["running"]:
                    self.start_revision(resource, name, values)

        return deploy

    def _route(self, resource: Resource) -> None:
        ingress, present = resource.properties["configuration"].get("ingress"), resource.private.get("ingress")
        if ingress and present is None:
            resource.private["ingress"] = Ingress(self.arm, lambda: self._choose(resource))
        elif not ingress and present is not None:
            resource.private.pop("ingress").close()

    def start_revision(self, resource: Resource, name: str, values: Mapping[str, str]) -> None:
        template = resource.private["revisions"][name]["template"]
        replicas = (template.get("scale") or {}).get("minReplicas") or 0
        revision = Revision(name, template, values, replicas)
        for container in revision.containers:
            self.arm.console.watch(templates.workspace_of(self.arm, resource.body), container,
                                   ContainerAppName_s=resource.name, RevisionName_s=name)
        resource.private["running"][name] = revision
        revision.start()
        if resource.properties["configuration"]["activeRevisionsMode"].lower() == "single":
            threading.Thread(target=self._retire, args=(resource, name), daemon=True).start()

    def _retire(self, resource: Resource, newest: str) -> None:
        """Single mode: the older revisions end once the new one is ready."""
        running = resource.private["running"]
        while newest in running and not running[newest].ready():
            if resource.private.get("gone") or resource.private["latest"] != newest:
                return
            threading.Event().wait(0.05)
        with resource.private["lock"]:
            # A newer one may have come meanwhile; it is not this one's to end.
            older = [*resource.private["revisions"]]
            for name in [n for n in older[:older.index(newest)] if n in running and newest in running]:
                running.pop(name).stop()

    def _choose(self, resource: Resource) -> tuple[Revision, int] | None:
        ingress, running = resource.properties["configuration"]["ingress"], resource.private["running"]
        latest = self.latest_ready(resource)
        rules = [(running.get(latest if t.get("latestRevision") else t.get("revisionName", "")), t.get("weight") or 0)
                 for t in ingress["traffic"]]
        found = [(revision, weight) for revision, weight in rules if revision is not None and weight]
        if not found:
            return None
        return random.choices([r for r, _ in found], [w for _, w in found])[0], ingress["targetPort"]

    def latest_ready(self, resource: Resource) -> str:
        """The newest revision that is ready; without processes, the newest."""
        if not self.arm.real:
            return str(resource.private["latest"])
        ready = [name for name, revision in resource.private["running"].items() if revision.ready()]
        return ready[-1] if ready else ""

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        properties, private = body["properties"], resource.private
        configuration = properties["configuration"]
        configuration["secrets"] = [
            {k: v for k, v in s.items() if k != "value"} for s in configuration.get("secrets") or []] or None
        if configuration.get("ingress"):
            configuration["ingress"]["fqdn"] = private["ingress"].fqdn if "ingress" in private else None
            properties["latestRevisionFqdn"] = configuration["ingress"]["fqdn"]
        for key in ("registries", "dapr", "runtime", "service", "maxInactiveRevisions", "ingress"):
            configuration.setdefault(key, None)
        for key in ("revisionSuffix", "scale", "initContainers", "volumes", "serviceBinds",
                    "terminationGracePeriodSeconds"):
            properties["template"].setdefault(key, None if key != "revisionSuffix" else "")
        properties |= {"latestRevisionName": private["latest"], "latestReadyRevisionName": self.latest_ready(resource),
                       "runningStatus": "Running", "customDomainVerificationId": "0" * 64, "delegatedIdentities": [],
                       "outboundIpAddresses": [f"20.0.0.{n}" for n in range(64)],
                       "eventStreamEndpoint": f"{self.arm.endpoint}{resource.id}/eventstream"}
        body["identity"] = templates.shown_identity(self.arm, body["identity"])
        # The id is in lower case there.
        return body | {"id": resource.id.replace("/containerApps/", "/containerapps/")}

    def shown_state(self, resource: Resource) -> str:
        return resource.state if resource.state in ("Succeeded", "Failed", "Deleting") else "InProgress"

    def action(self, resource: Resource, name: str, request: Request) -> Answer:
        match name:
            case "listsecrets":
                values = resource.properties["configuration"].get("secrets") or []
                return Answer(200, {"value": values})
            case "getauthtoken":
                token = self.arm.directory.token(request.caller, self.arm.endpoint)
                return Answer(200, {**self.shown(resource), "properties": {"token": token, "expires": stamp()}})
            case "start" | "stop":
                return Answer(200, self.shown(resource))
        return super().action(resource, name, request)

    def removed(self, resource: Resource) -> None:
        resource.private["gone"] = True
        ingress = resource.private.pop("ingress", None)
        if ingress is not None:
            ingress.close()
        for revision in [*resource.private.get("running", {}).values()]:
            revision.stop()
        resource.private.get("running", {}).clear()


def stream(app: Resource, revision: str, replica: str, follow: bool) -> Iterator[bytes]:
    """The log of a replica for the stream's endpoint."""
    running = app.private["running"].get(revision)
    container = next((c for c in running.containers if c.name == replica), None) if running is not None else None
    if container is None:
        raise ArmError(404, "ReplicaNotFound", f"The replica '{replica}' was not found.")
    lines: Iterator[bytes] = container.lines(lambda: follow and revision in app.private["running"])
    return lines
