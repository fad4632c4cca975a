"""What every write is checked for before a type looks at it: place, parent, name, running operations, immutables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.azure.arm.bodies import normal, value_at
from tests.azure.arm.errors import ArmError, bad
from tests.azure.arm.paths import Target, display, group_of, same_place
from tests.azure.arm.state import Resource, State

if TYPE_CHECKING:
    from tests.azure.arm.resource import Put
    from tests.azure.arm.server import ArmServer


class Checks:
    """The part of a resource type that refuses. `busy` is the code of a 409 while an operation runs."""

    arm: ArmServer
    state: State
    type = ""
    busy = "AnotherOperationInProgress"
    immutable: tuple[str, ...] = ()
    immutable_error = (400, "PropertyChangeNotAllowed")
    global_name: tuple[int, str] | None = None

    def _require_group(self, scope: str) -> None:
        group = group_of(scope)
        if group is not None and self.state.get("/".join(scope.split("/")[:5])) is None:
            raise ArmError(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")

    def _check_parent(self, target: Target) -> None:
        self._require_group(target.scope)
        group = self.state.get("/".join(target.scope.split("/")[:5]))
        if group is not None and group.state == "Deleting":
            raise ArmError(409, "ResourceGroupBeingDeleted", f"The resource group '{group.name}' is in deprovisioning "
                           "state and cannot perform this operation.")
        if target.parent != target.scope:
            parent = self.state.get(target.parent)
            if parent is None or parent.state == "Creating":
                raise ArmError(404, "ParentResourceNotFound", "Failed to perform 'write' on resource(s) of type "
                               f"'{self.type}', because the parent resource '{target.parent}' could not be found.")
            self._refuse_busy(parent)

    def _check_place(self, put: Put) -> None:
        location = put.body.get("location")
        if not isinstance(location, str) or location == "global":
            return
        try:
            display(location)
        except KeyError:
            raise bad("LocationNotAvailableForResourceType", f"The provided location '{location}' is not available "
                      f"for resource type '{self.type}'.") from None
        if put.old is not None and not same_place(put.old.body.get("location", location), location):
            raise ArmError(409, "InvalidResourceLocation", f"The resource '{put.old.name}' already exists in location "
                           f"'{put.old.body['location']}' in resource group '{group_of(put.old.id)}'. A resource with "
                           f"the same name cannot be created in location '{location}'.")

    def _check_global_name(self, name: str) -> None:
        if self.global_name is None:
            return
        status, code = self.global_name
        if self.name_is_taken(name):
            raise ArmError(status, code, f"The name '{name}' is already in use.")

    def name_is_kept(self, name: str) -> bool:
        """Whether something that was deleted softly still holds a global name."""
        return False

    def name_is_taken(self, name: str) -> bool:
        """Whether a live resource, or somebody elsewhere in the world, has a global name."""
        others = any(r.name.lower() == name.lower() for r in self.state.of_type(self.type))
        return others or (self.type.lower(), name.lower()) in self.arm.taken

    def _refuse_busy(self, resource: Resource) -> None:
        if resource.operation is not None:
            raise ArmError(409, self.busy, f"Cannot perform the operation: another one is in progress on "
                           f"'{resource.name}'. Please wait for the previous operation to finish.")

    def _check_immutable(self, put: Put) -> None:
        assert put.old is not None
        for path in self.immutable:
            before, after = value_at(put.old.body, path), value_at(put.body, path)
            if after is not None and normal(before) != normal(after):
                status, code = self.immutable_error
                raise ArmError(status, code, f"Changing property '{path}' is not allowed.",
                               details=[(code, path, f"{before!r} cannot become {after!r}")])
