"""Which type answers a path, after what ARM itself checks: the token, the api-version, rights, registration."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

from tests.azure.arm.authority import Principal
from tests.azure.arm.errors import ArmError
from tests.azure.arm.kinds import apps, jobs
from tests.azure.arm.kinds.groups import GroupTarget
from tests.azure.arm.paths import Target, parse
from tests.azure.arm.subscription import Subscription
from tests.azure.arm.web import Answer, Request

if TYPE_CHECKING:
    from tests.azure.arm.server import ArmServer

_VERSION = re.compile(r"^\d{4}-\d{2}-\d{2}(-preview)?$")
_GROUP = re.compile(r"^(/subscriptions/[^/]+)/resourcegroups(?:/([^/]+))?$", re.IGNORECASE)
_OPERATION = re.compile(r"/providers/[^/]+/locations/[^/]+/(?:operationResults|operationStatuses|azureAsyncOperation|"
                        r"containerappOperationStatuses|managedEnvironmentOperationStatuses)/([0-9a-f-]{36})$",
                        re.IGNORECASE)

_LOG = re.compile(r"^(?P<scope>/subscriptions/[^/]+/resourceGroups/[^/]+)(?:/providers/Microsoft.App)?/"
                  r"(?P<kind>jobs|containerApps)/(?P<name>[^/]+)/(?:executions|revisions)/(?P<run>[^/]+)/replicas/"
                  r"(?P<replica>[^/]+)/containers/[^/]+/logstream$", re.IGNORECASE)


class Router:
    """Serves the ARM plane, and the logs' API beside it."""

    def __init__(self, arm: ArmServer) -> None:
        self.arm = arm
        self.subscription = Subscription(arm)

    def arm_call(self, request: Request) -> Answer:
        request.caller = self.arm.directory.caller(request, (self.arm.endpoint,), self.arm.authority)
        log = _LOG.search(request.path)
        if log:
            return self._log(log, request)
        version = request.query.get("api-version")
        if version is None:
            raise ArmError(400, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is "
                           "required for all requests.")
        if not _VERSION.match(version):
            raise ArmError(400, "InvalidApiVersionParameter", f"The api-version '{version}' is invalid.")
        return self.dispatch(request)

    def _log(self, found: re.Match[str], request: Request) -> Answer:
        """The stream of a job's or an app's log; it has no api-version."""
        follow = request.query.get("follow", "").lower() == "true"
        at = f"{found['scope']}/providers/Microsoft.App/{found['kind']}/{found['name']}"
        with self.arm.state.lock:
            resource = self.arm.state.get(at)
        if resource is None:
            raise ArmError(404, "ResourceNotFound", f"'{at}' was not found.")
        lines = jobs.stream(resource, found["run"], follow) if found["kind"].lower() == "jobs" else \
            apps.stream(resource, found["run"], found["replica"], follow)
        return Answer(200, lines, {"Content-Type": "text/plain"})

    def dispatch(self, request: Request) -> Answer:
        """With the token checked."""
        with self.arm.state.lock:
            self.arm.state.settle()
            return self._dispatch(request)

    def _dispatch(self, request: Request) -> Answer:
        path = request.path.rstrip("/")
        parts = path.split("/")
        if len(parts) > 2 and parts[1].lower() == "subscriptions" and parts[2].lower() != self.arm.subscription:
            raise ArmError(404, "SubscriptionNotFound", f"The subscription '{parts[2]}' could not be found.")
        operation = _OPERATION.search(path)
        if operation:
            return self.arm.operations.get(operation[1], request)
        group = _GROUP.match(path)
        if group:
            return self._group(group[1], group[2], request)
        answer = self.subscription.answer(path, request)
        if answer is not None:
            return answer
        target = parse(path)
        if target is None:
            raise ArmError(404, "InvalidResourceType", f"Nothing is at '{path}'.")
        return self._resource(target, request)

    def _group(self, scope: str, name: str | None, request: Request) -> Answer:
        kind = self.arm.types.by_name["microsoft.resources/resourcegroups"]
        if request.query["api-version"] not in kind.versions:
            raise ArmError(400, "InvalidApiVersionParameter", f"The api-version '{request.query['api-version']}' is "
                           f"invalid. The supported versions are '{','.join(kind.versions)}'.")
        target = GroupTarget(scope, "Microsoft.Resources", ("resourceGroups",), (name,)) if name else \
            Target(scope, "Microsoft.Resources", (), (), "resourceGroups")
        self._authorise(request, "Microsoft.Resources/subscriptions/resourceGroups", target.id if name else scope)
        if name is None:
            return self.subscription.groups(request)
        return self._call(kind, target, request)

    def _resource(self, target: Target, request: Request) -> Answer:
        is_action = bool(target.tail) and request.method == "POST"
        name = target.type if is_action or not target.tail else f"{target.type}/{target.tail}"
        kind = self.arm.types.find(name, request.query["api-version"])
        action = f"{target.type}/{target.tail}" if is_action else name
        self._authorise(request, action, target.id)
        if target.namespace.lower() not in self.arm.registered and request.method != "GET":
            raise ArmError(409, "MissingSubscriptionRegistration", "The subscription is not registered to use namespace"
                           f" '{target.namespace}'. See https://aka.ms/rps-not-found for how to register.")
        if is_action:
            self.arm.locks.refuse_action(target.id)
            return kind.action(kind.require(target), target.tail.lower(), request)
        if target.tail:
            if request.method != "GET":
                raise ArmError(405, "MethodNotAllowed", f"{request.method} is not allowed here.")
            return kind.list(target)
        return self._call(kind, target, request)

    def _call(self, kind: object, target: Target, request: Request) -> Answer:
        from tests.azure.arm.resource import ResourceType

        assert isinstance(kind, ResourceType)
        match request.method:
            case "GET":
                return kind.get(target)
            case "HEAD":
                found = self.arm.state.get(target.id)
                return Answer(204 if found is not None and kind.visible(found) else 404)
            case "PUT":
                return kind.put(target, request)
            case "PATCH":
                return kind.patch(target, request)
            case "DELETE":
                return kind.delete(target, request)
        raise ArmError(405, "MethodNotAllowed", f"{request.method} is not allowed here.")

    def _authorise(self, request: Request, resource_type: str, scope: str) -> None:
        caller = request.caller
        verb = {"GET": "read", "HEAD": "read", "DELETE": "delete", "POST": "action"}.get(request.method, "write")
        action = f"{resource_type}/{verb}"
        if isinstance(caller, Principal) and not any(
            fnmatch.fnmatch(action.lower(), allowed.lower()) for allowed in caller.actions
        ):
            raise ArmError(403, "AuthorizationFailed", f"The client '{caller.client_id}' with object id "
                           f"'{caller.object_id}' does not have authorization to perform action '{action}' over scope "
                           f"'{scope}' or the scope is invalid. If access was recently granted, please refresh your "
                           "credentials.")

    def logs(self, request: Request) -> Answer:
        """The logs' query API."""
        request.caller = self.arm.directory.caller(request, (self.arm.endpoint,), self.arm.authority)
        found = re.match(r"^/v1/workspaces/([0-9a-f-]{36})/query$", request.path, re.IGNORECASE)
        if found is None or request.method != "POST":
            raise ArmError(404, "PathNotFoundError", "The requested path does not exist.")
        with self.arm.state.lock:
            known = [w for w in self.arm.state.of_type("Microsoft.OperationalInsights/workspaces")
                     if w.private["customer"] == found[1].lower()]
        if not known:
            raise ArmError(404, "WorkspaceNotFoundError", "The workspace could not be found.")
        return Answer(200, self.arm.console.query(found[1].lower(), request.json()["query"]))
