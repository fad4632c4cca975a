"""`apphost` {name, tags, location}: the Container Apps environment, whose logs go to the workspace."""

from __future__ import annotations

from typing import Any

from engine.model.value import Attributes
from engine.providers.azure.resource import AzureType
from engine.providers.base import Context

_WORKSPACE = "Microsoft.OperationalInsights/workspaces/{law}"


class AppHostType(AzureType):
    """See the module."""

    type = "apphost"
    path = "Microsoft.App/managedEnvironments/{name}"
    api = "2026-01-01"
    kind = "Microsoft.App/managedEnvironments"
    immutable = frozenset({"location", "subnet"})

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """Paid by use; the workspace's key is read now and goes into this call alone."""
        workspace = self.site.id(_WORKSPACE.format(**self.site.names))
        live = self.arm.get(workspace, "2025-07-01") or {"properties": {}}
        key = self.arm.post(f"{workspace}/sharedKeys", "2025-07-01")["primarySharedKey"]
        properties: dict[str, Any] = {
            "appLogsConfiguration": {"destination": "log-analytics", "logAnalyticsConfiguration": {
                "customerId": live["properties"].get("customerId"), "sharedKey": key}},
            "workloadProfiles": [{"name": "Consumption", "workloadProfileType": "Consumption"}],
            "zoneRedundant": False}
        if spec.get("subnet"):
            properties["vnetConfiguration"] = {"infrastructureSubnetId": self.site.id(
                f"Microsoft.Network/virtualNetworks/{self.site.names['vnet']}/subnets/{spec['subnet']}")}
        return {"properties": properties}

    def delete(self, name: str, context: Context) -> None:
        """Its jobs go first: Azure deletes no environment that has some."""
        for job in self.arm.list(self.site.id("Microsoft.App/jobs"), self.api):
            if str(job["name"]).startswith(f"{self.site.names['job']}-"):
                self.arm.delete(self.site.id(f"Microsoft.App/jobs/{job['name']}"), self.api, context)
        super().delete(name, context)


TYPES = (AppHostType,)
