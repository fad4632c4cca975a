"""What all resource types have in common: PUT, PATCH, GET, list, DELETE, and the styles of long-running operations.

A type is a subclass in `kinds/`, found by discovery: it says what it answers, what it adds, what cannot change, and
what stands behind it. Must not parse HTTP.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.azure.arm import definitions
from tests.azure.arm.bodies import merged
from tests.azure.arm.checks import Checks
from tests.azure.arm.errors import ArmError, bad, not_found
from tests.azure.arm.paths import Target, display, group_of
from tests.azure.arm.state import Operation, Resource
from tests.azure.arm.web import Answer, Request

if TYPE_CHECKING:
    from tests.azure.arm.server import ArmServer

SYNC, POLLED, ASYNC_202, ASYNC_201, LOCATION_201, LOCATION_202 = (
    "sync", "polled", "async-202", "async-201", "location-201", "location-202")


@dataclass
class Put:
    """A write under way: `old` is None where it creates."""

    request: Request
    target: Target
    body: dict[str, Any]
    old: Resource | None

    @property
    def properties(self) -> dict[str, Any]:
        return self.body.get("properties") or {}


class ResourceType(Checks):
    """See the module. `seconds` are Azure's; `created`, `updated` the statuses of a PUT; `busy` the code of a 409."""

    version: str | tuple[str, ...] = ""
    style = SYNC
    created, updated = 201, 200
    seconds, update_seconds, delete_seconds = 1.0, 1.0, 1.0
    delete_style = SYNC
    deleted_body = b""
    retry_after = 15.0
    operations_path = "operationStatuses"
    merge_on_put = False
    displays_location = False
    shows_state = True
    tracked = True
    seen_from = 1.0
    """How far the creation of a 202 is when reads begin to show it."""

    def __init__(self, arm: ArmServer) -> None:
        self.arm, self.state = arm, arm.state

    # What a type overrides.
    def prepare(self, put: Put) -> None:
        """Refuse what the service refuses, by ArmError."""

    def fill(self, resource: Resource) -> None:
        """Add what the server adds, to `resource.body`."""

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        """The answer, from a copy of the body."""
        return body

    def work(self, resource: Resource, old: Mapping[str, Any] | None) -> Callable[[], Any] | None:
        """What has to be done behind the resource before an operation can end; None for nothing."""
        return None

    def finished(self, resource: Resource) -> None:
        """A create or update has ended well."""

    def removed(self, resource: Resource) -> None:
        """It is gone: end what stands behind it."""

    def action(self, resource: Resource, name: str, request: Request) -> Answer:
        """A POST on it."""
        raise ArmError(404, "NotFound", f"No action '{name}' on {self.type}.")

    # What all do.
    @property
    def versions(self) -> tuple[str, ...]:
        return (self.version,) if isinstance(self.version, str) else self.version

    @property
    def key(self) -> str:
        return f"{self.type}@{self.versions[0]}"

    def check(self, body: Any, partial: bool = False) -> dict[str, Any]:
        """The body itself, or 400 with every problem."""
        if not isinstance(body, dict):
            raise bad("InvalidRequestContent", "The request content was invalid: an object is wanted.")
        if "location" not in body and not partial and self._needs_location():
            raise bad("LocationRequired", "The location property is required for this definition.")
        problems = definitions.check(self.key, body, partial=partial)
        if problems:
            told = "; ".join(f"{where}: {what}" for where, what in problems)
            raise ArmError(400, "InvalidRequestContent", f"The request content was invalid: {told}",
                           details=[("InvalidRequestContent", where, what) for where, what in problems])
        return body

    def _needs_location(self) -> bool:
        return any(where == "location" for where, _ in definitions.check(self.key, {}))

    def put(self, target: Target, request: Request) -> Answer:
        body = self.check(request.json())
        old = self.state.get(target.id)
        put = Put(request, target, body, old)
        name = target.names[-1]
        if body.get("name", name) != name:
            raise bad("InvalidRequestContent", f"The name '{body['name']}' is not the one of the URL.", "name")
        problem = definitions.check_name(self.type, self.versions[0], name)
        if problem:
            raise bad("InvalidResourceName", f"The resource name '{name}' is invalid: {problem}.", "name")
        self._check_place(put)
        self.arm.locks.refuse_write(target.id)
        if old is None:
            self._check_parent(target)
            self._check_global_name(name)
        else:
            self._refuse_busy(old)
            self._check_immutable(put)
        self.prepare(put)
        return self._write(put)

    def _write(self, put: Put) -> Answer:
        before = copy.deepcopy(put.old.body) if put.old is not None else None
        body = copy.deepcopy(put.body)
        if put.old is not None and self.merge_on_put:
            body = merged(put.old.body, body)
        if self.displays_location and "location" in body:
            body["location"] = display(body["location"])
        if put.old is None:
            resource = Resource(put.target.id, self, put.target.names[-1], body, self.state.clock.now())
            self.state.resources[resource.id.lower()] = resource
        else:
            resource = put.old
            resource.body = body
        self.fill(resource)
        return self._run(resource, before, put)

    def _run(self, resource: Resource, before: dict[str, Any] | None, put: Put) -> Answer:
        creating = before is None
        status = self.created if creating else self.updated
        work = self.work(resource, before)
        if self.style == SYNC:
            if work is not None:
                work()
            self.finished(resource)
            return Answer(status, self.shown(resource))
        seconds = self.seconds if creating else self.update_seconds
        resource.state = "Creating" if creating else "Updating"

        def finish() -> None:
            resource.state, resource.operation = "Succeeded", None
            self.finished(resource)

        def fail() -> None:
            resource.state, resource.operation = "Failed", None
            if self.style == ASYNC_202 and creating:
                self.state.drop(resource)

        operation = Operation(resource.id, "create" if creating else "update", self.state.clock.due(seconds),
                              finish, fail)
        if put.request.fault is not None and put.request.fault.operation:
            operation.doomed = (put.request.fault.operation, put.request.fault.message)
        resource.operation = operation
        self.state.begin(operation, work)
        headers = self.arm.operations.headers(operation, self, self.style, put.request.query["api-version"])
        if self.style == ASYNC_202:
            return Answer(202, {"operation": self.upsert_name, "startTime": operation.started}, headers)
        return Answer(status, self.shown(resource), headers)

    upsert_name = "Upsert"

    def patch(self, target: Target, request: Request) -> Answer:
        old = self.require(target)
        body = self.check(request.json(), partial=True)
        put = Put(request, target, merged(old.body, body), old)
        self.arm.locks.refuse_write(target.id)
        self._refuse_busy(old)
        self._check_place(put)
        self._check_immutable(put)
        self.prepare(put)
        before = copy.deepcopy(old.body)
        old.body = put.body
        self.fill(old)
        return self._run(old, before, put)

    def get(self, target: Target) -> Answer:
        return Answer(200, self.shown(self.require(target)))

    def list(self, target: Target) -> Answer:
        scope = target.scope if len(target.types) == 0 else target.id
        found = [r for r in self.state.of_type(self.type, scope) if self.visible(r)]
        return Answer(200, {"value": [self.shown(resource) for resource in found]})

    def require(self, target: Target) -> Resource:
        """The resource, or 404; a young one may not be seen yet."""
        self._require_group(target.scope)
        found = self.state.get(target.id)
        if found is None or not self.visible(found):
            raise not_found("/".join((target.namespace, *_paired(target))), group_of(target.id))
        return found

    def visible(self, resource: Resource) -> bool:
        """Reads come after writes: `arm.read_lag` seconds of Azure, and a 202 not before `seen_from`."""
        now = self.state.clock.now()
        if now < resource.created + self.arm.read_lag * self.state.clock.scale:
            return False
        running = resource.operation
        if self.style != ASYNC_202 or running is None or running.kind != "create":
            return True
        return self.seen_from < 1 and running.progress(now) >= self.seen_from

    def delete(self, target: Target, request: Request) -> Answer:
        self._require_group(target.scope)
        resource = self.state.get(target.id)
        if resource is None:
            return Answer(204)
        self.arm.locks.refuse_delete(target.id)
        if resource.operation is None or resource.operation.kind != "delete":
            self._refuse_busy(resource)
        self.may_delete(resource)
        if self.delete_style == SYNC:
            self.state.drop(resource)
            return Answer(200, self.deleted_body)
        return self.begin_delete(resource, request)

    def may_delete(self, resource: Resource) -> None:
        """Refuse a delete, by ArmError."""

    def begin_delete(self, resource: Resource, request: Request) -> Answer:
        """202, with the headers of the style; gone at the end."""
        running = resource.operation
        if running is None:
            def fail() -> None:
                resource.state, resource.operation = "Failed", None

            running = Operation(resource.id, "delete", self.state.clock.due(self.delete_seconds),
                                lambda: self.state.drop(resource), fail)
            if request.fault is not None and request.fault.operation:
                running.doomed = (request.fault.operation, request.fault.message)
            resource.state, resource.operation = "Deleting", running
            self.state.begin(running, None)
        version = request.query["api-version"]
        return Answer(202, b"", self.arm.operations.headers(running, self, self.delete_style, version))

    def shown(self, resource: Resource) -> dict[str, Any]:
        """As a GET answers it."""
        body = definitions.without_write_only(self.key, copy.deepcopy(resource.body))
        if self.shows_state:
            body.setdefault("properties", {})["provisioningState"] = self.shown_state(resource)
        return self.show(resource, {"id": resource.id, "name": resource.name, "type": self.type, **body})

    def shown_state(self, resource: Resource) -> str:
        return resource.state


def _paired(target: Target) -> list[str]:
    return [part for pair in zip(target.types, target.names, strict=True) for part in pair]
