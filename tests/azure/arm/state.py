"""The subscription's resources and the operations that run on them.

Owns the one lock under which requests read and write; data planes work outside of it. Operations come to their end when
somebody looks, once their time is over and their work is done.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.azure.arm.clock import Clock, stamp
from tests.azure.arm.errors import ArmError

if TYPE_CHECKING:
    from tests.azure.arm.resource import ResourceType


@dataclass
class Operation:
    """Something that takes its time on a resource: `kind` is create, update or delete."""

    resource_id: str
    kind: str
    due: float
    finish: Callable[[], None]
    fail: Callable[[], None]
    work: Future[Any] | None = None
    doomed: tuple[str, str] | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: str = field(default_factory=stamp)
    begun: float = 0.0
    status: str = "InProgress"
    error: tuple[str, str] | None = None

    def progress(self, now: float) -> float:
        return 1.0 if now >= self.due else max(0.0, (now - self.begun) / max(self.due - self.begun, 1e-9))


@dataclass
class Resource:
    """`body` is what was put, with what the server added; `private` what only the server knows."""

    id: str
    kind: ResourceType
    name: str
    body: dict[str, Any]
    created: float
    state: str = "Succeeded"
    operation: Operation | None = None
    private: dict[str, Any] = field(default_factory=dict)

    @property
    def properties(self) -> dict[str, Any]:
        found = self.body.setdefault("properties", {})
        assert isinstance(found, dict)
        return found


class State:
    """`resources` by id in lower case, in order of creation."""

    def __init__(self, clock: Clock) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.resources: dict[str, Resource] = {}
        self.operations: dict[str, Operation] = {}
        self.pool = ThreadPoolExecutor(16, "arm-work")
        self.etag = 0

    def settle(self) -> None:
        """End what is over."""
        now = self.clock.now()
        for operation in [o for o in self.operations.values() if o.status == "InProgress"]:
            if now < operation.due or (operation.work is not None and not operation.work.done()):
                continue
            problem = operation.work.exception() if operation.work is not None else None
            if operation.doomed is not None:
                operation.status, operation.error = "Failed", operation.doomed
                operation.fail()
            elif problem is not None:
                code = problem.code if isinstance(problem, ArmError) else "InternalServerError"
                operation.status, operation.error = "Failed", (code, str(problem))
                operation.fail()
            else:
                operation.status = "Succeeded"
                operation.finish()

    def begin(self, operation: Operation, work: Callable[[], Any] | None) -> None:
        operation.begun = self.clock.now()
        if work is not None:
            operation.work = self.pool.submit(work)
        self.operations[operation.id] = operation
        self.settle()

    def get(self, resource_id: str) -> Resource | None:
        return self.resources.get(resource_id.rstrip("/").lower())

    def under(self, scope: str) -> Iterator[Resource]:
        """All below an id, children and extensions alike."""
        prefix = scope.rstrip("/").lower() + "/"
        yield from [found for key, found in self.resources.items() if key.startswith(prefix)]

    def of_type(self, resource_type: str, scope: str = "") -> list[Resource]:
        wanted = resource_type.lower()
        return [found for found in self.under(scope) if found.kind.type.lower() == wanted]

    def drop(self, resource: Resource) -> None:
        """With all that is below it; the lowest first."""
        for found in sorted([*self.under(resource.id), resource], key=lambda r: -len(r.id)):
            if self.resources.pop(found.id.lower(), None) is not None:
                found.kind.removed(found)

    def close(self) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)
