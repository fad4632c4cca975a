"""The resource manager: read, write, delete and list by id, with long-running operations that survive this process.

Owns: the one pipeline (Microsoft's own policies and pollers), continuation tokens on disk, and how a refusal is told.
Must not: know a resource type.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline.policies import HeadersPolicy, RequestIdPolicy, UserAgentPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.core.polling import LROPoller
from azure.core.rest import HttpRequest
from azure.mgmt.core import ARMPipelineClient
from azure.mgmt.core.policies import ARMAutoResourceProviderRegistrationPolicy, ARMChallengeAuthenticationPolicy
from azure.mgmt.core.polling.arm_polling import ARMPolling

from engine.model.diagnostic import Diagnostic, Refused, error
from engine.providers.azure.credentials import Credential
from engine.providers.azure.policies import AT_ONCE, Retry, Throttle, error_of
from engine.providers.azure.site import Site
from engine.providers.base import Context, Progress
from engine.providers.local.files import read_json, write_json

Body = Mapping[str, Any]

_TIMEOUT_S = 60
_SHARED_S = 0.5
_CODES = {
    "ScopeLocked": ("scope-locked", "Take the lock away, or leave what it protects as it is."),
    "DenyAssignmentAuthorizationFailed": ("deny-assignment", "It is the platform's: leave it as it is (P3.3)."),
    "AuthorizationFailed": ("no-right", "See which right is missing: txplan doctor MANIFEST."),
    "LinkedAuthorizationFailed": ("no-right", "See which right is missing: txplan doctor MANIFEST."),
    "MissingSubscriptionRegistration": ("provider-not-registered", "See: txplan doctor MANIFEST."),
    "PrincipalNotFound": ("principal-unknown", "The identity is young; apply again in a minute."),
    "QuotaExceeded": ("quota", "See: txplan doctor MANIFEST. Choose a smaller size, or ask for more."),
}


class Arm:
    """Calls by id. Every method raises Refused for what the user can mend."""

    def __init__(self, site: Site, credential: Credential, pending: Path) -> None:
        self.site, self.credential = site, credential
        self._pending = pending
        # Where an answer does not say when to ask again.
        self._every = 0.1 if site.cloud.own else 10.0
        self._guard = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}
        self._read: dict[str, tuple[float, int, dict[str, Any] | None]] = {}
        self._writes = 0
        self.throttle = Throttle()
        self._client = _client(site, credential, self.throttle)

    def get(self, id: str, api: str) -> dict[str, Any] | None:
        """The resource, or None where there is none. Steps that ask for the same one at once share one read; a write
        of this process ends what was read before it."""
        key = id.lower()
        with self._guard:
            turn = self._turns.setdefault(key, threading.Lock())
        with turn:
            at, writes, kept = self._read.get(key, (-_SHARED_S, -1, None))
            if writes == self._writes and time.monotonic() - at < _SHARED_S:
                return kept
            writes = self._writes
            answer = self._send("GET", id, api, accepted=(200, 404))
            found = None if answer.status_code == 404 else dict(answer.json())
            self._read[key] = (time.monotonic(), writes, found)
            return found

    def list(self, id: str, api: str, **query: str) -> list[dict[str, Any]]:
        """All items behind a collection, every page; nothing where it does not exist."""
        found: list[dict[str, Any]] = []
        answer = self._send("GET", id, api, accepted=(200, 404), query=query)
        while answer.status_code == 200:
            page = answer.json()
            found += page.get("value", [])
            if not (following := page.get("nextLink")):
                break
            answer = self._request(HttpRequest("GET", following), (200, 404))
        return found

    def post(self, id: str, api: str, body: Body | None = None) -> dict[str, Any]:
        """An action that answers at once, or whose answer names what to look at."""
        answer = self._send("POST", id, api, body=body or {}, accepted=(200, 201, 202, 204))
        return dict(answer.json()) if answer.content else {}

    def put(self, id: str, api: str, body: Body, context: Context, *, method: str = "PUT") -> None:
        """Write a resource and wait until its operation ends. An operation that an earlier process began with the same
        body is waited for and not begun anew."""
        self._operate(method, id, api, body, context)

    def delete(self, id: str, api: str, context: Context) -> None:
        """Delete it and wait until its operation ends; nothing to delete is no error."""
        self._operate("DELETE", id, api, None, context)

    # Long-running operations

    def _operate(self, method: str, id: str, api: str, body: Body | None, context: Context) -> None:
        kept = self._pending / f"{hashlib.sha256(id.lower().encode()).hexdigest()[:32]}.json"
        what = _fingerprint(method, body)
        with self._listening(context):
            record = read_json(kept)
            if record is not None:
                again = self._resumed(record, id, context)
                self._wrote()
                kept.unlink(missing_ok=True)
                if again and record["what"] == what:
                    return
            self._wrote()
            poller = self._begin(method, id, api, body)
            if not poller.done():
                self._pending.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_json(kept, {"id": id, "what": what, "token": poller.continuation_token()})
            self._await(poller, id, context)
            self._wrote()
            kept.unlink(missing_ok=True)

    def _begin(self, method: str, id: str, api: str, body: Body | None) -> LROPoller[None]:
        request = HttpRequest(method, self._url(id), params={"api-version": api}, json=body)
        with self._told(id):
            first = self._client.send_request(request, _return_pipeline_response=True)
            if first.http_response.status_code not in ((200, 202, 204, 404) if method == "DELETE" else (200, 201, 202)):
                raise HttpResponseError(response=first.http_response)
            if method == "DELETE" and first.http_response.status_code == 404:
                return LROPoller(self._client, first, _nothing, _Ended())
            return LROPoller(self._client, first, _nothing, ARMPolling(self._every))

    def _resumed(self, record: Mapping[str, Any], id: str, context: Context) -> bool:
        """Wait for the operation of an earlier process; whether it succeeded."""
        context.emit(Progress(note="going on with what an earlier run began"))
        try:
            poller: LROPoller[None] = LROPoller.from_continuation_token(
                ARMPolling(self._every), str(record["token"]), client=self._client, deserialization_callback=_nothing)
            self._await(poller, id, context)
        except (Refused, ValueError, KeyError):
            if context.cancelled():
                raise
            return False  # It failed or is forgotten: begun anew, it tells by itself what is wrong.
        return True

    def _await(self, poller: LROPoller[None], id: str, context: Context) -> None:
        said = ""
        with self._told(id):  # A failed operation is told by whichever of these looks first.
            while not poller.done():
                poller.wait(0.1)
                if context.cancelled():
                    raise Refused([error("interrupted", f"{_short(id)} is still being changed.",
                                         mend="Apply again: the operation is waited for, not begun anew.")])
                if (now := poller.status()) != said:
                    said = now
                    context.emit(Progress(note=f"Azure: {said}"))
            poller.result()

    def _wrote(self) -> None:
        with self._guard:
            self._writes += 1

    # One call

    def _url(self, id: str) -> str:
        return f"{self.site.cloud.arm}{id}"

    def _send(self, method: str, id: str, api: str, *, accepted: Sequence[int], body: Body | None = None,
              query: Mapping[str, str] | None = None) -> Any:
        return self._request(HttpRequest(method, self._url(id), params={"api-version": api, **(query or {})},
                                         json=body), accepted)

    def _request(self, request: HttpRequest, accepted: Sequence[int]) -> Any:
        with self._told(request.url.partition("?")[0].removeprefix(self.site.cloud.arm)):
            answer = self._client.send_request(request)
            if answer.status_code not in accepted:
                raise HttpResponseError(response=answer)
            return answer

    @contextmanager
    def _listening(self, context: Context) -> Iterator[None]:
        def hear(text: str) -> None:
            context.emit(Progress(note=text))

        self.throttle.listeners.append(hear)
        try:
            yield
        finally:
            self.throttle.listeners.remove(hear)

    @contextmanager
    def _told(self, id: str) -> Iterator[None]:
        """Turn the pipeline's errors in the block into a diagnostic."""
        try:
            yield
        except HttpResponseError as problem:
            raise Refused([refusal(id, problem)]) from None
        except AzureError as problem:
            raise Refused([error("azure-away", f"{self.site.cloud.arm} does not answer.", str(problem)[:300],
                                 "See that this machine reaches it, and apply again.")]) from None


def refusal(id: str, problem: HttpResponseError) -> Diagnostic:
    """What the resource manager or an operation of its own refused, and why."""
    code, message = error_of(problem.response) if problem.response is not None else ("", "")
    if problem.error is not None and problem.error.code:
        code, message = problem.error.code, problem.error.message or ""
    known, mend = _CODES.get(code, ("azure-refused", ""))
    status: int = problem.status_code or (problem.response.status_code if problem.response is not None else 0) or 0
    if 0 < status < 300 and not code:  # It is the resource that says so, and such a one gives no reason.
        return error("operation-failed", f"Azure could not finish {_short(id)}.", "It tells no reason.",
                     "Apply again; where it stays so, look into the activity log of the group.")
    return error(known, f"Azure refuses {_short(id)}: {code or status}.", message[:1000] or f"status {status}", mend)


def _client(site: Site, credential: Credential, throttle: Throttle) -> ARMPipelineClient[Any, Any]:
    transport = RequestsTransport(connection_verify=site.verify, connection_timeout=10, read_timeout=_TIMEOUT_S)
    transport.open()
    _widen(transport)
    return ARMPipelineClient(base_url=site.cloud.arm, transport=transport, policies=[
        RequestIdPolicy(), HeadersPolicy({"Accept": "application/json"}), UserAgentPolicy(base_user_agent="txplan"),
        ARMAutoResourceProviderRegistrationPolicy(), Retry(), throttle,
        ARMChallengeAuthenticationPolicy(credential, site.cloud.scope)])


def _widen(transport: RequestsTransport) -> None:
    """As many kept connections as there are calls at once."""
    from requests.adapters import HTTPAdapter

    session = transport.session
    assert session is not None
    for prefix in ("https://", "http://"):
        session.mount(prefix, HTTPAdapter(pool_connections=4, pool_maxsize=AT_ONCE, max_retries=0))


class _Ended(ARMPolling):
    """The operation of a resource that is not there: over before it began."""

    def initialize(self, client: Any, initial_response: Any, deserialization_callback: Any) -> None:
        self._client, self._initial_response = client, initial_response

    def status(self) -> str:
        return "Succeeded"

    def finished(self) -> bool:
        return True

    def run(self) -> None:
        pass

    def resource(self) -> Any:
        return None


def _nothing(_: Any) -> None:
    """What operations answer is read anew from the resource."""


def _fingerprint(method: str, body: Body | None) -> str:
    text = json.dumps([method, _public(body)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _public(value: Any) -> Any:
    """A body without what is secret in it."""
    if isinstance(value, Mapping):
        return {k: "" if k in ("administratorLoginPassword", "value", "sharedKey") else _public(v)
                for k, v in value.items()}
    return [_public(v) for v in value] if isinstance(value, list | tuple) else value


def _short(id: str) -> str:
    return "/".join(id.strip("/").split("/")[-2:])
