"""Microsoft.ContainerRegistry: registries, their credentials, and builds by scheduleRun.

A registry knows digests. Every digest stands for the code of this checkout, which is what a build would have made.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import tarfile
import uuid
from typing import Any

from tests.azure.arm import addresses, definitions
from tests.azure.arm.bodies import filled
from tests.azure.arm.clock import stamp
from tests.azure.arm.errors import ArmError, bad
from tests.azure.arm.resource import LOCATION_202, POLLED, Put, ResourceType
from tests.azure.arm.state import Resource
from tests.azure.arm.web import Answer, Request

VERSION = "2025-11-01"
TASKS = ("2025-03-01-preview", "2019-06-01-preview")


class Registries(ResourceType):
    type = "Microsoft.ContainerRegistry/registries"
    version = (VERSION, *TASKS)
    style = POLLED
    seconds, update_seconds, delete_seconds = 20.0, 5.0, 10.0
    delete_style = LOCATION_202
    global_name = (409, "AlreadyInUse")
    immutable = ("properties.zoneRedundancy",)

    def prepare(self, put: Put) -> None:
        premium = put.body["sku"]["name"] == "Premium"
        if put.properties.get("publicNetworkAccess") == "Disabled" and not premium:
            raise bad("NetworkRuleSetNotSupported", "Disabling public network access wants the sku Premium.")

    def fill(self, resource: Resource) -> None:
        private = resource.private
        private.setdefault("server", f"{addresses.fresh()}:5000")
        private.setdefault("created", stamp())
        private.setdefault("passwords", [secrets.token_urlsafe(32), secrets.token_urlsafe(32)])
        private.setdefault("digests", {})
        filled(resource.body, tags={})
        filled(resource.properties, adminUserEnabled=False, policies={}, encryption={"status": "disabled"},
               dataEndpointEnabled=False, publicNetworkAccess="Enabled", networkRuleBypassOptions="AzureServices",
               zoneRedundancy="Disabled", anonymousPullEnabled=False, roleAssignmentMode="LegacyRegistryPermissions")

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        body["sku"] = {**body["sku"], "tier": body["sku"]["name"]}
        body["properties"] |= {"loginServer": resource.private["server"], "creationDate": resource.private["created"],
                               "privateEndpointConnections": self.arm.networks.connections_to(resource.id)}
        return body

    def action(self, resource: Resource, name: str, request: Request) -> Answer:
        match name:
            case "listcredentials":
                if not resource.properties["adminUserEnabled"]:
                    raise bad("UnAuthorizedForCredentialOperations", "Cannot perform credential operations for "
                              f"{resource.id} as admin user is disabled.")
                one, two = resource.private["passwords"]
                return Answer(200, {"username": resource.name, "passwords": [{"name": "password", "value": one},
                                                                             {"name": "password2", "value": two}]})
            case "listbuildsourceuploadurl":
                path = f"source/{uuid.uuid4()}.tar.gz"
                url = f"{self.arm.endpoint}/upload/{path}?sig={self.arm.signature}"
                return Answer(200, {"relativePath": path, "uploadUrl": url})
            case "schedulerun":
                return self._build(resource, request)
        return super().action(resource, name, request)

    def _build(self, resource: Resource, request: Request) -> Answer:
        body = request.json()
        problems = definitions.check("Microsoft.ContainerRegistry/registries/scheduleRun@byhand", body)
        if problems:
            raise bad("InvalidRequestContent", "; ".join(f"{where}: {what}" for where, what in problems))
        images = []
        source = self._source(body)
        for name in body.get("imageNames") or []:
            repository, _, tag = name.partition(":")
            digest = self.push(resource, repository, source or "") if source else ""
            images.append({"registry": resource.private["server"], "repository": repository, "tag": tag or "latest",
                           "digest": digest})
        kind = self.arm.types.by_name[Runs.type.lower()]
        number = f"ca{len(self.state.of_type(Runs.type, resource.id)) + 1}"
        run = Resource(f"{resource.id}/runs/{number}", kind, number, {"properties": {}}, self.state.clock.now(),
                       private={"images": images, "due": self.state.clock.due(60.0), "created": stamp(),
                                "status": "Succeeded" if source else "Failed"})
        self.state.resources[run.id.lower()] = run
        return Answer(200, kind.shown(run))

    def _source(self, body: dict[str, Any]) -> str | None:
        """What tells the uploaded source apart; None where the build cannot begin: nothing was uploaded, or it has no
        such file to build by."""
        content = self.arm.uploads.get(body.get("sourceLocation") or "")
        if content is None:
            return None
        try:
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                names = {name.removeprefix("./") for name in archive.getnames()}
        except tarfile.TarError:
            return None
        return hashlib.sha256(content).hexdigest() if body["dockerFilePath"] in names else None

    def push(self, resource: Resource, repository: str, content: str) -> str:
        """A digest of its own for each content; the same again for the same."""
        digest = f"sha256:{hashlib.sha256(f'{repository} {content}'.encode()).hexdigest()}"
        resource.private["digests"][f"{repository}@{digest}".lower()] = digest
        return digest

    def has(self, image: str) -> Resource | None:
        """The registry that holds `server/repository@digest`, or None."""
        for found in self.state.of_type(self.type):
            server, _, rest = image.partition("/")
            if server == found.private["server"] and rest.lower() in found.private["digests"]:
                return found
        return None


class Runs(ResourceType):
    type = "Microsoft.ContainerRegistry/registries/runs"
    version = TASKS
    tracked = False

    def shown(self, resource: Resource) -> dict[str, Any]:
        private = resource.private
        over = self.state.clock.now() >= private["due"]
        properties: dict[str, Any] = {
            "runId": resource.name, "status": private["status"] if over else "Running", "runType": "QuickBuild",
            "createTime": private["created"], "provisioningState": "Succeeded"}
        if over:
            properties |= {"finishTime": stamp(), "outputImages": [i for i in private["images"] if i["digest"]]}
        return {"id": resource.id, "name": resource.name, "type": self.type, "properties": properties}

    def put(self, target: Any, request: Request) -> Answer:
        raise ArmError(405, "MethodNotAllowed", "A run is made by scheduleRun.")

    def action(self, resource: Resource, name: str, request: Request) -> Answer:
        if name != "listlogsasurl":
            return super().action(resource, name, request)
        return Answer(200, {"logLink": f"{self.arm.endpoint}/log/{resource.name}?sig={self.arm.signature}"})
