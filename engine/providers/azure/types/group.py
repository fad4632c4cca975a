"""`group` {name, tags, location}: the resource group, made or adopted.

Refused where the platform manages it (P3.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.model.diagnostic import Refused, error
from engine.model.value import Attributes
from engine.providers.azure.resource import AzureType
from engine.providers.base import Context, Foreign


class Group(AzureType):
    """See the module."""

    type = "group"
    api = "2025-04-01"
    kind = "Microsoft.Resources/resourceGroups"

    def id(self, name: str) -> str:
        """A group lies in the subscription."""
        return f"/subscriptions/{self.site.subscription}/resourceGroups/{name}"

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """Location and tags; refused for a group of the platform's."""
        live = self.read(name)
        if live is not None and live.get("managedBy"):
            raise Refused([error("platform-managed", f"The group {name} is managed by {live['managedBy']}.",
                                 "It and all in it belong to the platform.", "Choose another owner or env.",
                                 rule="P3.3")])
        return {}

    def attributes(self, name: str, live: Mapping[str, Any]) -> dict[str, Any]:
        """Who manages it, where somebody does."""
        return {"managed_by": live["managedBy"]} if live.get("managedBy") else {}

    def foreign(self, name: str) -> Sequence[Foreign] | None:
        """Also what lies in it that is tagged otherwise, and the platform's mark."""
        around = super().foreign(name)
        if around is None:
            return None
        live = self.read(name)
        marks = [Foreign(f"the group of {live['managedBy']}", "platform-managed")] if live and live.get(
            "managedBy") else []
        return [*around, *marks, *self.ground.survey.strangers()]

    def inventory(self) -> Sequence[str]:
        """The group, where it is there."""
        return [self.site.names["rg"]] if self.read(self.site.names["rg"]) is not None else []


TYPES = (Group,)
