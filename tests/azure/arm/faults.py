"""Faults that tests inject at a call."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fault:
    """What happens in place of an answer (`before`), or after the work was done."""

    code: int = 0
    error: str = ""
    message: str = "Injected."
    retry_after: float | None = None
    resets: bool = False
    after: bool = False
    operation: str = ""
    body: Mapping[str, Any] | None = None

    @classmethod
    def status(cls, code: int, error: str = "", retry_after: float | None = None) -> Fault:
        """An answer of this status; `retry_after` in seconds of Azure."""
        names = {429: "TooManyRequests", 503: "ServiceUnavailable", 500: "InternalServerError", 409: "Conflict"}
        return cls(code=code, error=error or names.get(code, "Injected"), retry_after=retry_after)

    @classmethod
    def reset(cls, after: bool = False) -> Fault:
        """The connection is reset; `after`: once the request was carried out."""
        return cls(resets=True, after=after)

    @classmethod
    def fail_operation(cls, error: str, message: str = "Injected.") -> Fault:
        """The request is accepted, and its long-running operation ends as Failed."""
        return cls(operation=error, message=message)

    @classmethod
    def answer(cls, body: Mapping[str, Any]) -> Fault:
        """200 with this body, such as one that was recorded of the real service."""
        return cls(code=200, body=body)


@dataclass
class _Rule:
    method: str
    pattern: re.Pattern[str]
    nth: int
    times: int
    fault: Fault
    seen: int = 0
    hit: int = field(default=0)


class Faults:
    """Rules in the order in which they were injected; the first that matches decides."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []

    def inject(self, method: str, path_pattern: str, nth: int = 1, fault: Fault | None = None, times: int = 1) -> None:
        """`path_pattern` is searched in the path without query, case ignored; `nth` counts matching calls from 1."""
        rule = _Rule(method.upper(), re.compile(path_pattern, re.IGNORECASE), nth, times, fault or Fault.status(503))
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def hits(self) -> int:
        """How often a fault came true."""
        return sum(rule.hit for rule in self._rules)

    def at(self, method: str, path: str) -> Fault | None:
        """The fault of this call, which is counted."""
        with self._lock:
            for rule in self._rules:
                if rule.method in ("*", method) and rule.pattern.search(path):
                    rule.seen += 1
                    if rule.nth <= rule.seen < rule.nth + rule.times:
                        rule.hit += 1
                        return rule.fault
        return None
