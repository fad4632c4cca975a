"""`insights` {name, tags, location, workspace}: Application Insights on the environment's own workspace.

Without a workspace Azure would make a group of its own for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.model.value import Attributes
from engine.providers.azure.resource import AzureType, same_name
from engine.providers.base import Context


class Insights(AzureType):
    """See the module."""

    type = "insights"
    path = "Microsoft.Insights/components/{name}"
    api = "2020-02-02"
    kind = "Microsoft.Insights/components"

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """A component for web applications."""
        workspace = self.site.id(f"Microsoft.OperationalInsights/workspaces/{spec['workspace']}")
        return {"kind": "web", "properties": {"Application_Type": "web", "WorkspaceResourceId": workspace,
                                              "IngestionMode": "LogAnalytics"}}

    def attributes(self, name: str, live: Mapping[str, Any]) -> dict[str, Any]:
        """The workspace."""
        return {"workspace": same_name(live["properties"].get("WorkspaceResourceId"), self.site.names["law"])}


TYPES = (Insights,)
