"""Microsoft.OperationalInsights workspaces and Microsoft.Insights components."""

from __future__ import annotations

import base64
import secrets
import uuid
from typing import Any

from tests.azure.arm.bodies import filled
from tests.azure.arm.clock import stamp
from tests.azure.arm.errors import ArmError, bad
from tests.azure.arm.paths import Target, group_of, same_place
from tests.azure.arm.resource import POLLED, Put, ResourceType
from tests.azure.arm.state import Resource
from tests.azure.arm.web import Answer, Request


class Workspaces(ResourceType):
    """A deleted one keeps its name and data for 14 days: the same name in the same group brings it back."""

    type = "Microsoft.OperationalInsights/workspaces"
    version = "2025-07-01"
    style = POLLED
    seconds, update_seconds = 30.0, 5.0
    busy = "ActionConflict"

    def __init__(self, arm: Any) -> None:
        super().__init__(arm)
        self.deleted: dict[str, Resource] = {}

    def prepare(self, put: Put) -> None:
        days = put.properties.get("retentionInDays")
        if days is not None and not 30 <= days <= 730:
            raise bad("InvalidParameter", f"'RetentionInDays' of {days} is not in the range 30 to 730.")
        kept = self.deleted.get(put.target.id.lower())
        if put.old is None and kept is not None and not same_place(kept.body["location"], put.body["location"]):
            raise ArmError(409, "Conflict", f"The workspace '{kept.name}' is deleted and can be recovered until its 14 "
                           f"days are over; its location is '{kept.body['location']}'.")

    def fill(self, resource: Resource) -> None:
        kept = self.deleted.pop(resource.id.lower(), None)
        if kept is not None:
            resource.private |= kept.private
        private = resource.private
        private.setdefault("customer", str(uuid.uuid4()))
        private.setdefault("created", stamp())
        for key in ("primary", "secondary"):
            private.setdefault(key, base64.b64encode(secrets.token_bytes(64)).decode())
        private["modified"] = stamp()
        filled(resource.properties, sku={"name": "PerGB2018"}, retentionInDays=30, features={}, workspaceCapping={},
               publicNetworkAccessForIngestion="Enabled", publicNetworkAccessForQuery="Enabled")
        filled(resource.properties["features"], legacy=0, searchVersion=1,
               enableLogAccessUsingOnlyResourcePermissions=True)
        filled(resource.properties["workspaceCapping"], dailyQuotaGb=-1.0)

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        private, properties = resource.private, body["properties"]
        properties |= {"customerId": private["customer"], "createdDate": private["created"],
                       "modifiedDate": private["modified"]}
        # As the service writes them.
        properties["sku"] = {**properties["sku"], "name": properties["sku"]["name"].lower(),
                             "lastSkuUpdate": private["created"]}
        properties["workspaceCapping"] |= {"quotaNextResetTime": private["created"],
                                           "dataIngestionStatus": "RespectQuota"}
        return body | {"etag": '"00000000-0000-0000-0000-000000000000"'}

    def delete(self, target: Target, request: Request) -> Answer:
        resource = self.state.get(target.id)
        if resource is not None and request.query.get("force", "").lower() == "true":
            resource.private["forced"] = True
        return super().delete(target, request)

    def removed(self, resource: Resource) -> None:
        if not resource.private.pop("forced", False):
            self.deleted[resource.id.lower()] = resource

    def action(self, resource: Resource, name: str, request: Request) -> Answer:
        if name != "sharedkeys":
            return super().action(resource, name, request)
        return Answer(200, {"primarySharedKey": resource.private["primary"],
                            "secondarySharedKey": resource.private["secondary"]})


class Components(ResourceType):
    """Without a workspace the service makes a managed group with one of its own."""

    type = "Microsoft.Insights/components"
    version = "2020-02-02"
    created = 200

    def prepare(self, put: Put) -> None:
        workspace = put.properties.get("WorkspaceResourceId")
        if workspace is not None and self.state.get(workspace) is None:
            raise bad("InvalidWorkspace", f"The workspace '{workspace}' does not exist.", "WorkspaceResourceId")

    def fill(self, resource: Resource) -> None:
        private = resource.private
        for key in ("app", "key"):
            private.setdefault(key, str(uuid.uuid4()))
        private.setdefault("created", stamp())
        filled(resource.body, tags={})
        filled(resource.properties, Flow_Type="Bluefield", Request_Source="rest", RetentionInDays=90,
               IngestionMode="LogAnalytics", publicNetworkAccessForIngestion="Enabled",
               publicNetworkAccessForQuery="Enabled", DisableIpMasking=False, DisableLocalAuth=False)
        if not resource.properties.get("WorkspaceResourceId"):
            resource.properties["WorkspaceResourceId"] = self._own_workspace(resource)

    def _own_workspace(self, resource: Resource) -> str:
        name = f"ai_{resource.name}_{resource.private['app']}_managed"
        location = resource.body["location"]
        group = f"{self.arm.scope}/resourceGroups/{name}"
        groups = self.arm.types.by_name["microsoft.resources/resourcegroups"]
        workspaces = self.arm.types.by_name[Workspaces.type.lower()]
        workspace = f"{group}/providers/{Workspaces.type}/managed-{resource.name}-ws"
        for kind, at, short, body in (
            (groups, group, name, {"location": location, "managedBy": resource.id}),
            (workspaces, workspace, workspace.rsplit("/", 1)[1], {"location": location}),
        ):
            made = Resource(at, kind, short, body, 0.0)
            kind.fill(made)
            self.state.resources[at.lower()] = made
        return workspace

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        private = resource.private
        body["properties"] |= {
            "ApplicationId": resource.name, "Name": resource.name, "AppId": private["app"],
            "InstrumentationKey": private["key"], "CreationDate": private["created"], "TenantId": self.arm.subscription,
            "ConnectionString": f"InstrumentationKey={private['key']};IngestionEndpoint={self.arm.endpoint}/ingest/;"
                                f"ApplicationId={private['app']}",
        }
        # The type is in lower case there, and so is the provider in the id.
        group = group_of(resource.id)
        return body | {"type": "microsoft.insights/components", "etag": f'"{private["app"][:8]}"',
                       "id": f"{self.arm.scope}/resourceGroups/{group}/providers/microsoft.insights/components/"
                             f"{resource.name}"}
