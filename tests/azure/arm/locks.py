"""Management locks and deny assignments: who may not write or delete where."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from tests.azure.arm.errors import ArmError

if TYPE_CHECKING:
    from tests.azure.arm.server import ArmServer

LOCK = "/providers/microsoft.authorization/locks/"


class Locks:
    """Looks at locks among the resources; keeps the deny assignments, which only platforms make."""

    def __init__(self, arm: ArmServer) -> None:
        self.arm = arm
        self.denials: dict[str, dict[str, Any]] = {}

    def deny(self, scope: str, name: str = "System deny assignment") -> str:
        """A deny assignment as a managed application has it: no write, no delete in the scope."""
        number = str(uuid.uuid4())
        denial_id = f"{scope}/providers/Microsoft.Authorization/denyAssignments/{number}"
        everyone = {"id": "00000000-0000-0000-0000-000000000000", "type": "SystemDefined"}
        self.denials[scope.lower()] = {
            "id": denial_id, "type": "Microsoft.Authorization/denyAssignments", "name": number,
            "properties": {"denyAssignmentName": name, "scope": scope, "isSystemProtected": True,
                           "doNotApplyToChildScopes": False, "principals": [everyone], "excludePrincipals": [],
                           "permissions": [{"actions": ["*"], "notActions": ["*/read"], "dataActions": [],
                                            "notDataActions": []}]},
        }
        return denial_id

    def refuse_write(self, resource_id: str) -> None:
        self._refuse_denied(resource_id, "write")
        holding = [] if LOCK in resource_id.lower() else self._over(resource_id, ("readonly",))
        if holding:
            raise _locked(resource_id, "write", holding)

    def refuse_delete(self, resource_id: str) -> None:
        """Locks above, on it and below keep it."""
        self._refuse_denied(resource_id, "delete")
        if LOCK in resource_id.lower():
            return
        below = [found for found in self.arm.state.of_type("Microsoft.Authorization/locks", resource_id)
                 if self._scope(found.id).lower() != resource_id.lower()]
        holding = self._over(resource_id, ("readonly", "cannotdelete")) + [self._scope(found.id) for found in below]
        if holding:
            raise _locked(resource_id, "delete", holding)

    def refuse_action(self, resource_id: str) -> None:
        """A POST is a write to a ReadOnly lock."""
        self.refuse_write(resource_id)

    def denied_in(self, scope: str) -> list[dict[str, Any]]:
        """Deny assignments at, above and below a scope."""
        wanted = scope.lower()
        return [found for at, found in self.denials.items() if wanted.startswith(at) or at.startswith(wanted)]

    def _over(self, resource_id: str, levels: tuple[str, ...]) -> list[str]:
        wanted = resource_id.lower() + "/"
        return [self._scope(lock.id) for lock in self.arm.state.of_type("Microsoft.Authorization/locks")
                if wanted.startswith(self._scope(lock.id).lower() + "/")
                and lock.properties["level"].lower() in levels]

    def _refuse_denied(self, resource_id: str, action: str) -> None:
        for scope in self.denials:
            if (resource_id.lower() + "/").startswith(scope + "/"):
                denial = self.denials[scope]
                raise ArmError(403, "DenyAssignmentAuthorizationFailed", "The client has permission to perform action "
                               f"'{action}' on scope '{resource_id}'; however, the access is denied because of the deny"
                               f" assignment with name '{denial['properties']['denyAssignmentName']}' and Id "
                               f"'{denial['name']}' at scope '{scope}'.")

    @staticmethod
    def _scope(lock_id: str) -> str:
        return lock_id[:lock_id.lower().rfind(LOCK)]


def _locked(resource_id: str, action: str, holding: list[str]) -> ArmError:
    return ArmError(409, "ScopeLocked", f"The scope '{resource_id}' cannot perform {action} operation because following"
                    f" scope(s) are locked: '{','.join(sorted(set(holding)))}'. Please remove the lock and try again.")
