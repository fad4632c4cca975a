"""Blob storage, as far as locks and journals need it: block and append blobs, conditions, metadata, leases, lists.

Owns the blobs, in memory. One account with its containers, on an address of its own; a caller needs the role
`Storage Blob Data Contributor` on it, which tests give by `Blobs.allow`.
"""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from tests.azure.arm import addresses
from tests.azure.arm.errors import ArmError
from tests.azure.arm.web import Answer, Listener, Request

if TYPE_CHECKING:
    from tests.azure.arm.server import ArmServer

AUDIENCE = "https://storage.azure.com"


@dataclass
class _Blob:
    kind: str
    data: bytes = b""
    metadata: dict[str, str] = field(default_factory=dict)
    etag: str = ""
    blocks: int = 0
    staged: dict[str, bytes] = field(default_factory=dict)
    lease: str = ""
    lease_until: float = 0.0
    lease_seconds: float = 0.0
    broken: bool = False
    changed: float = 0.0

    def touch(self) -> None:
        self.etag, self.changed = f'"0x{uuid.uuid4().hex[:15].upper()}"', time.time()

    @property
    def leased(self) -> bool:
        return bool(self.lease) and time.monotonic() < self.lease_until


class Blobs:
    """`url` is the account's; leases run in real seconds times `lease_scale`."""

    def __init__(self, arm: ArmServer) -> None:
        self.arm = arm
        self.lease_scale = 1.0
        self._lock = threading.Lock()
        self._containers: dict[str, dict[str, _Blob]] = {}
        self._allowed: set[str] = {arm.owner.object_id}
        host = addresses.fresh()
        context = arm.certificates.context(host)
        self._listener = Listener(lambda r: arm.desk.through("blob", r, self.serve), context, host)
        self.url = self._listener.url

    def container(self, name: str) -> str:
        """A container's URL; made where it is not there."""
        self._containers.setdefault(name, {})
        return f"{self.url}/{name}"

    def allow(self, object_id: str) -> None:
        self._allowed.add(object_id)

    def close(self) -> None:
        self._listener.close()

    def serve(self, request: Request) -> Answer:
        caller = self.arm.directory.caller(request, (AUDIENCE,), self.arm.authority)
        if caller.object_id not in self._allowed:
            raise _problem(403, "AuthorizationPermissionMismatch", "This request is not authorized.")
        _, container, *rest = request.path.split("/", 2)
        try:
            with self._lock:
                blobs = self._containers.get(container)
                if blobs is None:
                    raise _problem(404, "ContainerNotFound", "The specified container does not exist.")
                if not rest:
                    return self._list(blobs, request)
                return self._blob(blobs, rest[0], request)
        except ArmError as refusal:
            text = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{refusal.code}</Code><Message>' \
                   f"{escape(refusal.message)}</Message></Error>"
            return Answer(refusal.status, b"" if request.method == "HEAD" else text.encode(),
                          {"x-ms-error-code": refusal.code, "Content-Type": "application/xml"})

    def _list(self, blobs: dict[str, _Blob], request: Request) -> Answer:
        if request.query.get("comp") != "list":
            return Answer(200, b"", {"Last-Modified": formatdate(usegmt=True), "ETag": '"0x1"'})
        prefix = request.query.get("prefix", "")
        items = "".join(
            f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{formatdate(b.changed, usegmt=True)}"
            f"</Last-Modified><Etag>{b.etag.strip(chr(34))}</Etag><Content-Length>{len(b.data)}</Content-Length>"
            f"<BlobType>{b.kind}</BlobType></Properties></Blob>" for name, b in sorted(blobs.items())
            if name.startswith(prefix))
        text = f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>{items}</Blobs><NextMarker/>' \
               "</EnumerationResults>"
        return Answer(200, text.encode(), {"Content-Type": "application/xml"})

    def _blob(self, blobs: dict[str, _Blob], name: str, request: Request) -> Answer:
        comp, found = request.query.get("comp", ""), blobs.get(name)
        if request.method == "PUT" and comp in ("", "block", "blocklist"):
            return self._put(blobs, name, comp, request)
        if found is None or (found.kind == "" and request.method != "PUT"):
            raise _problem(404, "BlobNotFound", "The specified blob does not exist.")
        self._conditions(found, request)
        match request.method, comp:
            case "GET" | "HEAD", "" | "metadata":
                return Answer(200, found.data, self._headers(found, len(found.data)))
            case "PUT", "lease":
                return self._lease(found, request)
            case "PUT", "metadata":
                self._writable(found, request)
                found.metadata = _metadata(request)
                found.touch()
                return Answer(200, b"", self._headers(found))
            case "PUT", "appendblock":
                return self._append(found, request)
            case "DELETE", "":
                self._writable(found, request)
                del blobs[name]
                return Answer(202, b"")
        raise _problem(400, "UnsupportedHttpVerb", "The resource doesn't support this.")

    def _put(self, blobs: dict[str, _Blob], name: str, comp: str, request: Request) -> Answer:
        found = blobs.get(name)
        if found is not None and found.kind:
            self._conditions(found, request, creating=True)
            self._writable(found, request)
        elif request.headers.get("if-match"):
            raise _problem(412, "ConditionNotMet", "The condition is not met.")
        if comp == "block":
            target = found or blobs.setdefault(name, _Blob(""))
            target.staged[request.query["blockid"]] = request.body
            return Answer(201, b"")
        old = found or _Blob("")
        made = _Blob(request.headers.get("x-ms-blob-type", "BlockBlob"), request.body, _metadata(request),
                     lease=old.lease, lease_until=old.lease_until, lease_seconds=old.lease_seconds)
        if comp == "blocklist":
            ids = [part.partition("<")[0] for part in request.body.decode().split("Latest>")[1::2]]
            made.data = b"".join(old.staged[block] for block in ids)
        made.touch()
        blobs[name] = made
        return Answer(201, b"", self._headers(made))

    def _append(self, found: _Blob, request: Request) -> Answer:
        if found.kind != "AppendBlob":
            raise _problem(409, "InvalidBlobType", "The blob type is invalid for this operation.")
        self._writable(found, request)
        wanted = request.headers.get("x-ms-blob-condition-appendpos")
        if wanted is not None and int(wanted) != len(found.data):
            raise _problem(412, "AppendPositionConditionNotMet", "The append position condition is not met.")
        at = len(found.data)
        found.data += request.body
        found.blocks += 1
        found.touch()
        return Answer(201, b"", {**self._headers(found), "x-ms-blob-append-offset": str(at),
                                 "x-ms-blob-committed-block-count": str(found.blocks)})

    def _lease(self, found: _Blob, request: Request) -> Answer:
        action, given = request.headers.get("x-ms-lease-action"), request.headers.get("x-ms-lease-id", "")
        match action:
            case "acquire":
                if found.leased and request.headers.get("x-ms-proposed-lease-id") != found.lease:
                    raise _problem(409, "LeaseAlreadyPresent", "There is already a lease present.")
                seconds = int(request.headers.get("x-ms-lease-duration", "0"))
                if seconds != -1 and not 15 <= seconds <= 60:
                    raise _problem(400, "InvalidHeaderValue", "A lease takes 15 to 60 seconds, or -1.")
                found.lease, found.broken = request.headers.get("x-ms-proposed-lease-id") or str(uuid.uuid4()), False
                found.lease_seconds = float("inf") if seconds == -1 else seconds * self.lease_scale
                found.lease_until = time.monotonic() + found.lease_seconds
                return Answer(201, b"", {**self._headers(found), "x-ms-lease-id": found.lease})
            case "renew" | "release" if given != found.lease or not found.lease:
                raise _problem(409, "LeaseIdMismatchWithLeaseOperation", "The lease ID specified did not match.")
            case "renew":
                found.lease_until = time.monotonic() + found.lease_seconds
                return Answer(200, b"", {**self._headers(found), "x-ms-lease-id": found.lease})
            case "release":
                found.lease = ""
                return Answer(200, b"", self._headers(found))
            case "break":
                if not found.lease:
                    raise _problem(409, "LeaseNotPresentWithLeaseOperation", "There is currently no lease on the blob.")
                found.lease, found.broken = "", True
                return Answer(202, b"", {**self._headers(found), "x-ms-lease-time": "0"})
        raise _problem(400, "InvalidHeaderValue", f"'{action}' is no action.")

    def _writable(self, found: _Blob, request: Request) -> None:
        given = request.headers.get("x-ms-lease-id")
        if found.leased and given != found.lease:
            code = "LeaseIdMissing" if given is None else "LeaseIdMismatchWithBlobOperation"
            raise _problem(412, code, "There is currently a lease on the blob.")
        if given is not None and not found.leased:
            raise _problem(412, "LeaseLost", "A lease ID was specified, but the lease for the blob has expired.")

    def _conditions(self, found: _Blob, request: Request, creating: bool = False) -> None:
        headers = request.headers
        if headers.get("if-none-match") == "*" and creating:
            raise _problem(409, "BlobAlreadyExists", "The specified blob already exists.")
        if headers.get("if-match") not in (None, "*", found.etag):
            raise _problem(412, "ConditionNotMet", "The condition of the headers is not met.")

    @staticmethod
    def _headers(found: _Blob, length: int | None = None) -> dict[str, str]:
        headers = {"ETag": found.etag, "Last-Modified": formatdate(found.changed, usegmt=True), "x-ms-version":
                   "2025-11-05", "x-ms-blob-type": found.kind, "x-ms-request-server-encrypted": "true",
                   "x-ms-lease-state": "leased" if found.leased else "expired" if found.lease else
                   "broken" if found.broken else "available",
                   "x-ms-lease-status": "locked" if found.leased else "unlocked"}
        if length is not None:
            headers |= {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
            if length:
                headers["Content-Range"] = f"bytes 0-{length - 1}/{length}"
        return headers | {f"x-ms-meta-{name}": value for name, value in found.metadata.items()}


def _metadata(request: Request) -> dict[str, str]:
    prefix = "x-ms-meta-"
    return {name.removeprefix(prefix): value for name, value in request.headers.items() if name.startswith(prefix)}


def _problem(status: int, code: str, message: str) -> ArmError:
    return ArmError(status, code, message)
