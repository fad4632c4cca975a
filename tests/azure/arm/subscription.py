"""What ARM itself answers about a subscription: itself, its providers, its resources, rights and deny assignments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.azure.arm import definitions
from tests.azure.arm.errors import ArmError, bad
from tests.azure.arm.paths import display
from tests.azure.arm.web import Answer, Request

if TYPE_CHECKING:
    from tests.azure.arm.server import ArmServer
    from tests.azure.arm.state import Resource

_TAG = re.compile(r"^tagName eq '([^']*)'(?: and tagValue eq '([^']*)')?$", re.IGNORECASE)
_TYPE = re.compile(r"^resourceType eq '([^']*)'$", re.IGNORECASE)
_PAGE = 100


class Subscription:
    """`answer` is None where the path is a resource's."""

    def __init__(self, arm: ArmServer) -> None:
        self.arm = arm

    def answer(self, path: str, request: Request) -> Answer | None:
        parts = path.split("/")[1:]
        low = [part.lower() for part in parts]
        if low == ["subscriptions"]:
            return Answer(200, {"value": [self._itself()]})
        if low == ["subscriptions", self.arm.subscription]:
            return Answer(200, self._itself())
        if low == ["tenants"]:
            return Answer(200, {"value": [{"id": f"/tenants/{self.arm.tenant}", "tenantId": self.arm.tenant}]})
        if low[-1] == "checknameavailability" and request.method == "POST":
            return self._name(parts[3], request.json())
        if low[2:] == ["resources"] or (len(low) == 5 and low[2] == "resourcegroups" and low[4] == "resources"):
            return self._resources(path.rsplit("/", 1)[0], request)
        if low[-1] == "permissions" and low[-2] == "microsoft.authorization":
            return self._permissions(request)
        if low[-1] == "denyassignments" and low[-2] == "microsoft.authorization":
            scope = path[:path.lower().rfind("/providers/")]
            return Answer(200, {"value": self.arm.locks.denied_in(scope)})
        if len(low) >= 3 and low[2] == "providers" and len(low) <= 5:
            return self._provider(parts, request)
        return None

    def groups(self, request: Request) -> Answer:
        """The list of resource groups, filtered by tag."""
        kind = self.arm.types.by_name["microsoft.resources/resourcegroups"]
        found = [r for r in self.arm.state.of_type(kind.type) if kind.visible(r) and _matches(r, request)]
        return Answer(200, {"value": [kind.shown(resource) for resource in found]})

    def _name(self, namespace: str, body: dict[str, Any]) -> Answer:
        """Whether a global name is free: live, soft-deleted and others' names are not."""
        kinds = [k for k in self.arm.types.by_name.values()
                 if k.global_name is not None and k.type.lower().startswith(f"{namespace.lower()}/")]
        if not kinds or not isinstance(body.get("name"), str):
            raise bad("InvalidRequestContent", f"No name of {namespace} is asked for.")
        kind, name = kinds[0], body["name"]
        problem = definitions.check_name(kind.type, kind.versions[0], name)
        if problem is not None:
            return Answer(200, {"nameAvailable": False, "reason": "Invalid", "message": problem})
        if kind.name_is_taken(name) or kind.name_is_kept(name):
            return Answer(200, {"nameAvailable": False, "reason": "AlreadyExists", "message": f"'{name}' is in use."})
        return Answer(200, {"nameAvailable": True, "reason": None, "message": ""})

    def _itself(self) -> dict[str, Any]:
        return {"id": self.arm.scope, "subscriptionId": self.arm.subscription, "tenantId": self.arm.tenant,
                "displayName": "Tests", "state": "Enabled", "authorizationSource": "RoleBased", "managedByTenants": [],
                "subscriptionPolicies": {"locationPlacementId": "Public_2014-09-01", "spendingLimit": "Off"}}

    def _resources(self, scope: str, request: Request) -> Answer:
        """Top-level resources without their properties, in pages; children are not listed."""
        found = [r for r in self.arm.state.under(scope) if _listed(r) and r.kind.visible(r) and _matches(r, request)]
        start = int(request.query.get("$skiptoken", "0"))
        size = min(int(request.query.get("$top", _PAGE)), _PAGE)
        page = [self._generic(resource) for resource in found[start:start + size]]
        body: dict[str, Any] = {"value": page}
        if start + size < len(found):
            kept = "&".join(part for part in request.target.partition("?")[2].split("&") if "skiptoken" not in part)
            body["nextLink"] = f"{self.arm.endpoint}{request.path}?{kept}&%24skiptoken={start + size}"
        return Answer(200, body)

    def _generic(self, resource: Resource) -> dict[str, Any]:
        shown = resource.kind.shown(resource)
        kept = ("id", "name", "type", "kind", "managedBy", "sku", "identity", "tags")
        location = str(shown.get("location", "global")).replace(" ", "").lower()
        return {key: shown[key] for key in kept if key in shown} | {"location": location}

    def _provider(self, parts: list[str], request: Request) -> Answer | None:
        known = {kind.type.split("/")[0] for kind in self.arm.types.by_name.values()}
        if len(parts) == 3:
            return Answer(200, {"value": [self._described(name) for name in sorted(known)]})
        name = next((name for name in known if name.lower() == parts[3].lower()), None)
        if len(parts) == 5 and parts[4].lower() not in ("register", "unregister"):
            return None
        if name is None:
            raise ArmError(404, "InvalidResourceNamespace", f"The resource namespace '{parts[3]}' is invalid.")
        if len(parts) == 5 and request.method == "POST":
            change = self.arm.registered.add if parts[4].lower() == "register" else self.arm.registered.discard
            change(name.lower())
        return Answer(200, self._described(name))

    def _described(self, namespace: str) -> dict[str, Any]:
        kinds = [kind for kind in self.arm.types.by_name.values() if kind.type.split("/")[0] == namespace]
        registered = namespace.lower() in self.arm.registered
        return {"id": f"{self.arm.scope}/providers/{namespace}", "namespace": namespace,
                "registrationState": "Registered" if registered else "NotRegistered",
                "registrationPolicy": "RegistrationRequired",
                "resourceTypes": [{"resourceType": kind.type.split("/", 1)[1], "apiVersions": list(kind.versions),
                                   "locations": [display("westus2"), display("koreacentral")]} for kind in kinds]}

    def _permissions(self, request: Request) -> Answer:
        allowed = list(request.caller.actions) if request.caller else ["*"]
        return Answer(200, {"value": [{"actions": allowed, "notActions": [], "dataActions": [], "notDataActions": []}]})


def _listed(resource: Resource) -> bool:
    kind = resource.kind.type
    return resource.kind.tracked and kind.count("/") == 1 and not kind.endswith("/resourceGroups")


def _matches(resource: Resource, request: Request) -> bool:
    """`tagName eq 'x' and tagValue eq 'y'` or `resourceType eq 'z'`, as ARM takes no more."""
    wanted = request.query.get("$filter")
    if wanted is None:
        return True
    tag, kind = _TAG.match(wanted.strip()), _TYPE.match(wanted.strip())
    if kind:
        return resource.kind.type.lower() == kind[1].lower()
    if not tag:
        raise bad("InvalidFilterInQueryString", f"Invalid $filter '{wanted}' specified in the query string.")
    tags = {name.lower(): value for name, value in (resource.body.get("tags") or {}).items()}
    return tag[1].lower() in tags and tag[2] in (None, tags[tag[1].lower()])
