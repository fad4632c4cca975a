"""`workspace` {name, tags, location, retention_days}: Log Analytics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.model.value import Attributes
from engine.providers.azure.resource import AzureType
from engine.providers.base import Context


class Workspace(AzureType):
    """See the module."""

    type = "workspace"
    path = "Microsoft.OperationalInsights/workspaces/{name}"
    api = "2025-07-01"
    kind = "Microsoft.OperationalInsights/workspaces"

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """Paid by use."""
        return {"properties": {"sku": {"name": "PerGB2018"}, "retentionInDays": spec["retention_days"]}}

    def attributes(self, name: str, live: Mapping[str, Any]) -> dict[str, Any]:
        """Its retention."""
        return {"retention_days": live["properties"].get("retentionInDays")}


TYPES = (Workspace,)
