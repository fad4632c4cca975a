"""The URLs under which long-running operations are polled, in both styles."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from tests.azure.arm.clock import stamp
from tests.azure.arm.errors import ArmError
from tests.azure.arm.resource import ASYNC_201, ASYNC_202, LOCATION_201, LOCATION_202
from tests.azure.arm.web import Answer, Request

if TYPE_CHECKING:
    from tests.azure.arm.resource import ResourceType
    from tests.azure.arm.server import ArmServer
    from tests.azure.arm.state import Operation

# The real URLs carry a signature of some KiB.
_SIGNATURE = "".join(uuid.uuid4().hex for _ in range(80))


class Operations:
    """Answers GET on an operation's URL."""

    def __init__(self, arm: ArmServer) -> None:
        self.arm = arm

    def headers(self, operation: Operation, kind: ResourceType, style: str, version: str) -> dict[str, str]:
        """What a write is answered with."""
        if style not in (ASYNC_201, ASYNC_202, LOCATION_201, LOCATION_202):
            return {}
        namespace = kind.type.split("/")[0]
        base = f"{self.arm.endpoint}/subscriptions/{self.arm.subscription}/providers/{namespace}/locations/westus2"
        tail = f"?api-version={version}&t=638&c={_SIGNATURE}&s={_SIGNATURE[:256]}&h={_SIGNATURE[:40]}"
        results = f"{base}/operationResults/{operation.id}{tail}"
        status = f"{base}/{kind.operations_path}/{operation.id}{tail}&azureAsyncOperation=true"
        found = self.arm.clock.retry_after(kind.retry_after)
        if style in (ASYNC_201, ASYNC_202):
            found["Azure-AsyncOperation"] = status
        if style != ASYNC_201:
            found["Location"] = results
        return found

    def get(self, operation_id: str, request: Request) -> Answer:
        """The body of Azure-AsyncOperation, or the status of Location."""
        operation = self.arm.state.operations.get(operation_id)
        if operation is None:
            raise ArmError(404, "NotFound", f"Operation '{operation_id}' was not found.")
        kind = self.arm.types.of_id(operation.resource_id)
        if "azureasyncoperation" in request.query:
            return self._status(operation, kind, request)
        return self._result(operation, kind, request)

    def _status(self, operation: Operation, kind: ResourceType, request: Request) -> Answer:
        body: dict[str, Any] = {"id": request.path, "name": operation.id, "status": operation.status,
                                "startTime": operation.started}
        if operation.status == "InProgress":
            return Answer(200, body, self.arm.clock.retry_after(kind.retry_after))
        body["endTime"] = stamp()
        if operation.error is not None:
            body["error"] = {"code": operation.error[0], "message": operation.error[1]}
        return Answer(200, body)

    def _result(self, operation: Operation, kind: ResourceType, request: Request) -> Answer:
        if operation.status == "InProgress":
            location = f"{self.arm.endpoint}{request.target}"
            return Answer(202, b"", {"Location": location, **self.arm.clock.retry_after(kind.retry_after)})
        if operation.error is not None:
            raise ArmError(409, *operation.error)
        resource = self.arm.state.get(operation.resource_id)
        if operation.kind == "delete" or resource is None:
            return Answer(200, b"")
        return Answer(200, resource.kind.shown(resource))
