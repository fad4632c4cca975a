"""What every call to the resource manager goes through: retries, and one throttle shared by all steps.

Owns: which answers are asked again and when, how many calls run at once, and saying that it waits. Must not: know what
is called. All of it are policies of azure-core's own pipeline.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import HTTPPolicy, RetryPolicy

AT_ONCE = 24
"""Calls at once; a subscription takes 25 writes and 250 reads a second before it answers 429."""

BUSY = frozenset({
    "AnotherOperationInProgress", "OperationInProgress", "ServerIsBusy", "ServerBusy", "ServerBusyWithOtherOperation",
    "ConflictingServerOperation", "ContainerAppOperationInProgress", "ContainerAppOperationError",
    "ManagedEnvironmentNotReadyForAppCreation", "ManagedEnvironmentNotProvisioned", "Conflict", "RequestConflict",
    "NamespaceInTransition", "ResourceGroupBeingDeleted", "ParentResourceNotReady", "OperationNotAllowedWhileUpdating"})
"""Codes of 409 that pass by themselves; others, such as ScopeLocked, do not."""

YOUNG = frozenset({"PrincipalNotFound"})
"""Codes of 400 that pass by themselves: a new identity is not known everywhere yet."""

_LONGEST_S = 30.0
_TRIES = 10


class Retry(RetryPolicy):  # type: ignore[type-arg]
    """azure-core's retries, and also conflicts and young identities, with exponential backoff and jitter."""

    def __init__(self) -> None:
        super().__init__(retry_total=_TRIES, retry_connect=6, retry_read=6, retry_status=_TRIES,
                         retry_backoff_factor=0.4, retry_backoff_max=_LONGEST_S)

    def is_retry(self, settings: dict[str, Any], response: PipelineResponse[Any, Any]) -> bool:
        """Whether the answer is asked for again."""
        status = response.http_response.status_code
        if status == 429 and settings["total"] > 0:
            return True  # Nothing was done, whatever the method.
        if status in (400, 409) and settings["total"] > 0:
            return code_of(response.http_response) in (BUSY if status == 409 else YOUNG)
        return bool(super().is_retry(settings, response))

    def get_backoff_time(self, settings: dict[str, Any]) -> float:
        """Seconds until the next try: full jitter, so that steps that met do not meet again."""
        tries = len(settings["history"])
        return random.uniform(0.5, 1.0) * min(_LONGEST_S, 0.2 * 2.0 ** tries)


class Throttle(HTTPPolicy[Any, Any]):
    """At most AT_ONCE calls at once; where one was told to wait, all wait."""

    def __init__(self) -> None:
        super().__init__()
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._not_before = 0.0
        self._guard = threading.Lock()
        self.listeners: list[Callable[[str], None]] = []

    def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        """Pass the request on in its turn."""
        waits = self._not_before - time.monotonic()
        if waits > 0:
            self._say(f"Azure asks to wait {waits:.0f} s: too many requests")
            time.sleep(waits)
        with self._slots:
            response = self.next.send(request)
        if response.http_response.status_code == 429:
            with self._guard:
                self._not_before = max(self._not_before, time.monotonic() + retry_after(response.http_response))
        return response

    def _say(self, text: str) -> None:
        for listener in list(self.listeners):
            listener(text)


def retry_after(response: Any) -> float:
    """The seconds that an answer asks to wait; 0 where it does not."""
    for header, unit in (("retry-after-ms", 1000.0), ("x-ms-retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = response.headers.get(header)
        if value is not None:
            try:
                return max(0.0, float(value)) / unit
            except ValueError:
                continue
    return 0.0


def error_of(response: Any) -> tuple[str, str]:
    """(code, message) of an answer's error; empty where it has none. ARM and some services below it differ in form."""
    try:
        body = json.loads(response.text())
    except (ValueError, TypeError, AttributeError):
        return "", ""
    inner = body.get("error", body) if isinstance(body, dict) else {}
    if not isinstance(inner, dict):
        return "", ""
    return str(inner.get("code") or inner.get("Code") or ""), str(inner.get("message") or inner.get("Message") or "")


def code_of(response: Any) -> str:
    """The error code of an answer."""
    return error_of(response)[0]
