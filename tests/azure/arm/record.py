"""What was asked: every request, for the tests to judge."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

WRITES = {"PUT", "PATCH", "DELETE", "POST"}
_READING_POSTS = ("/listkeys", "/listcredentials", "/sharedkeys", "/listsecrets", "/checknameavailability", "/query",
                  "/token", "/listbuildsourceuploadurl", "/listlogsasurl")


@dataclass
class Call:
    """One request and its answer's status (0: the connection was reset). `headers` are without Authorization."""

    method: str
    url: str
    path: str
    plane: str
    headers: dict[str, str]
    body: bytes = field(repr=False)
    started: float
    ended: float = 0.0
    status: int = 0
    code: str = ""

    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def is_write(self) -> bool:
        return self.method in WRITES and not self.path.lower().rstrip("/").endswith(_READING_POSTS)


class Record:
    """Appended by the server's threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self.calls: list[Call] = []
        self.log: list[str] = []
        self._peaks: list[tuple[float, int]] = []

    def begin(self, call: Call) -> None:
        with self._lock:
            self.calls.append(call)
            self.log.append(f"{call.method} {call.url}")
            self._running += 1
            self._peaks.append((call.started, self._running))

    def end(self) -> None:
        with self._lock:
            self._running -= 1

    def mark(self) -> int:
        """For `since`."""
        return len(self.calls)

    def since(self, mark: int, plane: str | None = "arm") -> Sequence[Call]:
        """What came after the mark, of one plane (`arm`, `authority`, `vault`, `logs`, `ingress`), or of all."""
        return [call for call in self.calls[mark:] if plane in (None, call.plane)]

    def writes(self, mark: int = 0, plane: str | None = "arm") -> Sequence[Call]:
        return [call for call in self.since(mark, plane) if call.is_write]

    def reads(self, mark: int = 0, plane: str | None = "arm") -> Sequence[Call]:
        return [call for call in self.since(mark, plane) if not call.is_write]

    def peak(self, mark: int = 0) -> int:
        """How many calls ran at once, at most, since the mark."""
        begun = self.calls[mark].started if mark < len(self.calls) else float("inf")
        return max((running for at, running in self._peaks if at >= begun), default=0)

    def leaks(self, secrets: Iterable[str]) -> Sequence[str]:
        """Where one of the texts stood that must not: URL, header, tag, or a line of the server's log."""
        wanted = [text for text in secrets if text]
        found = []
        for call in self.calls:
            places = {"url": call.url, "headers": json.dumps(call.headers), "tags": json.dumps(_tags(call))}
            found += [f"{call.method} {call.path}: {place}" for place, text in places.items()
                      if any(secret in text for secret in wanted)]
        return found + [f"log: {line[:60]}" for line in self.log if any(secret in line for secret in wanted)]


def _tags(call: Call) -> Any:
    try:
        body = call.json()
    except ValueError:
        return {}
    return body.get("tags") if isinstance(body, dict) else {}
