"""The front desk: records a request, lets its fault come true, and turns refusals into answers."""

from __future__ import annotations

import gzip
import json
import threading
import time
import traceback
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.azure.arm.errors import ArmError
from tests.azure.arm.faults import Fault
from tests.azure.arm.record import Call
from tests.azure.arm.web import Answer, Request, Reset

if TYPE_CHECKING:
    from tests.azure.arm.router import Router
    from tests.azure.arm.server import ArmServer


class Desk:
    """All listeners of a server come through here, each with the name of its plane."""

    def __init__(self, arm: ArmServer, router: Router) -> None:
        self.arm, self.router = arm, router
        self._bucket_lock = threading.Lock()
        self._bucket = (0.0, 0.0)

    def handle(self, request: Request) -> Answer:
        """The main listener: ARM, and the authority under the tenant's path."""
        first = request.path.lstrip("/").partition("/")[0].lower()
        if first in (self.arm.tenant, "organizations", "common"):
            return self.through("authority", request, lambda r: self.arm.directory.serve(r, self.arm.authority))
        if first == "v1":
            return self.through("logs", request, self.router.logs)
        if first == "ingest":
            return self.through("ingest", request, self._ingest)
        if first in ("upload", "log"):
            return self.through("blob", request, self._blob)
        return self.through("arm", request, self.router.arm_call)

    def _ingest(self, request: Request) -> Answer:
        """Telemetry: each item must carry the key of a component that is there."""
        data = gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body
        text = data.decode().strip()
        items = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
        with self.arm.state.lock:
            known = {r.private["key"] for r in self.arm.state.of_type("Microsoft.Insights/components")}
        wrong = [n for n, item in enumerate(items) if item.get("iKey") not in known]
        self.arm.telemetry += [item for n, item in enumerate(items) if n not in wrong]
        errors = [{"index": n, "statusCode": 400, "message": "Invalid instrumentation key"} for n in wrong]
        return Answer(400 if wrong else 200, {"itemsReceived": len(items), "itemsAccepted": len(items) - len(wrong),
                                              "errors": errors})

    def _blob(self, request: Request) -> Answer:
        """What a shared access signature in the URL opens: no token is asked for."""
        kind, _, name = request.path.lstrip("/").partition("/")
        if request.query.get("sig") != self.arm.signature:
            raise ArmError(403, "AuthenticationFailed", "Server failed to authenticate the request.")
        if kind == "log":
            return Answer(200, f"Run {name} is in the record of its registry.\n".encode())
        if request.method != "PUT" or request.headers.get("x-ms-blob-type") != "BlockBlob":
            raise ArmError(400, "MissingRequiredHeader", "An HTTP header that's mandatory for this request is not "
                           "specified: x-ms-blob-type.")
        self.arm.uploads[name] = request.body
        return Answer(201)

    def through(self, plane: str, request: Request, handle: Callable[[Request], Answer]) -> Answer:
        """Record, delay, fault, handle."""
        call = Call(request.method, f"https://{request.host}{request.target}", request.path, plane,
                    {k: v for k, v in request.headers.items() if k != "authorization"}, request.body, time.monotonic())
        self.arm.record.begin(call)
        try:
            if self.arm.latency:
                time.sleep(self.arm.latency)
            answer = self._answer(plane, request, handle)
            call.status = answer.status
            if isinstance(answer.body, dict) and isinstance(answer.body.get("error"), dict):
                call.code = str(answer.body["error"].get("code"))
            return answer
        finally:
            call.ended = time.monotonic()
            self.arm.record.end()

    def _answer(self, plane: str, request: Request, handle: Callable[[Request], Answer]) -> Answer:
        throttled = self._throttled() if plane == "arm" else None
        if throttled is not None:
            return throttled
        fault = self.arm.faults.at(request.method, request.path)
        if fault is not None and not fault.after and not fault.operation:
            answer = self._come_true(fault)
        else:
            request.fault = fault
            answer = self._handled(request, handle)
            if fault is not None and fault.after:
                answer = self._come_true(fault)
        answer.headers.setdefault("x-ms-request-id", str(uuid.uuid4()))
        answer.headers.setdefault("x-ms-correlation-request-id", str(uuid.uuid4()))
        if plane == "arm":
            answer.headers.setdefault("x-ms-ratelimit-remaining-subscription-global-reads", "16499")
        return answer

    def _come_true(self, fault: Fault) -> Answer:
        if fault.resets:
            raise Reset
        if fault.body is not None:
            return Answer(fault.code, dict(fault.body))
        headers = {} if fault.retry_after is None else self.arm.clock.retry_after(fault.retry_after)
        return Answer(fault.code, ArmError(fault.code, fault.error, fault.message).body(), headers)

    def _throttled(self) -> Answer | None:
        """429 where the test set a limit and a caller is over it: a bucket that fills evenly, as ARM's."""
        limit = self.arm.limit
        if limit is None:
            return None
        now = time.monotonic()
        with self._bucket_lock:
            size, per_second = limit
            at, level = self._bucket
            level = min(size, level + (now - at) * per_second) if at else float(size)
            admitted = level >= 1
            self._bucket = (now, level - 1 if admitted else level)
        if admitted:
            return None
        wait = 1 / per_second / self.arm.clock.scale
        refusal = ArmError(429, "TooManyRequests", "The request is being throttled as the limit has been reached.")
        return Answer(429, refusal.body(), self.arm.clock.retry_after(wait))

    def _handled(self, request: Request, handle: Callable[[Request], Answer]) -> Answer:
        try:
            return handle(request)
        except ArmError as refusal:
            return Answer(refusal.status, refusal.body(), dict(refusal.headers))
        except json.JSONDecodeError:
            return Answer(400, ArmError(400, "InvalidRequestContent", "The request content is no JSON.").body())
        except Reset:
            raise
        except Exception:
            # A mistake of the server's: told in full, so that the test that meets it can be mended.
            self.arm.record.log.append(traceback.format_exc())
            return Answer(500, ArmError(500, "BugOfTheArmServer", traceback.format_exc()).body())

    def seed(self, resource_id: str, body: dict[str, Any]) -> None:
        """Put something as if somebody else had; not recorded."""
        kind = self.arm.types.of_id(resource_id)
        request = Request("PUT", f"{resource_id}?api-version={kind.versions[0]}", {}, json.dumps(body).encode())
        answer = self.router.dispatch(request)
        assert answer.status < 300, answer
