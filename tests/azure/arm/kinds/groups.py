"""Resource groups. Not under a provider's path: the server routes to them."""

from __future__ import annotations

from typing import Any

from tests.azure.arm.bodies import filled
from tests.azure.arm.errors import ArmError
from tests.azure.arm.paths import Target
from tests.azure.arm.resource import LOCATION_202, Put, ResourceType
from tests.azure.arm.state import Resource
from tests.azure.arm.web import Answer, Request


class Groups(ResourceType):
    type = "Microsoft.Resources/resourceGroups"
    version = ("2025-04-01", "2021-04-01", "2022-09-01", "2024-03-01", "2024-11-01")
    delete_style = LOCATION_202
    delete_seconds = 90.0
    busy = "ResourceGroupBeingDeleted"
    immutable = ("managedBy",)
    immutable_error = (409, "ResourceGroupManagedByMismatch")

    def prepare(self, put: Put) -> None:
        if put.target.names[-1].endswith("."):
            raise ArmError(400, "InvalidResourceGroup", "A resource group's name cannot end with a period.")

    def fill(self, resource: Resource) -> None:
        filled(resource.body, tags={}, properties={})
        resource.body["location"] = resource.body["location"].replace(" ", "").lower()

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        return body if body["tags"] else {key: value for key, value in body.items() if key != "tags"}

    def require(self, target: Target) -> Resource:
        found = self.state.get(target.id)
        if found is None or not self.visible(found):
            raise ArmError(404, "ResourceGroupNotFound", f"Resource group '{target.names[-1]}' could not be found.")
        return found

    def delete(self, target: Target, request: Request) -> Answer:
        if self.state.get(target.id) is None:
            raise ArmError(404, "ResourceGroupNotFound", f"Resource group '{target.names[-1]}' could not be found.")
        answer = super().delete(target, request)
        for inner in self.state.under(target.id):
            inner.state = "Deleting"
        return answer

    def _check_parent(self, target: Target) -> None:
        """The subscription is there."""

    def _require_group(self, scope: str) -> None:
        """It is one."""


class GroupTarget(Target):
    """A resource group's id has no provider in it."""

    @property
    def id(self) -> str:
        return f"{self.scope}/resourceGroups/{self.names[-1]}"

    @property
    def parent(self) -> str:
        return self.scope
