"""Clients that never stop asking, as a load balancer's would: a replica that is not there is passed over.

Owns its threads and what they saw. Must not decide what was right.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Seen:
    """One look-up: when it was asked (seconds since the epoch) and its answer; status 0 where no replica answered."""

    at: float
    status: int


class Lookups(AbstractContextManager["Lookups"]):
    """Asks in a loop until the block ends; `token` is asked for the credential each time."""

    def __init__(self, endpoints: list[str], path: str, token: Callable[[], str], clients: int = 2) -> None:
        self._endpoints, self._path, self._token = endpoints, path, token
        self._stop = threading.Event()
        self.seen: list[Seen] = []
        self._pool = ThreadPoolExecutor(clients)
        self._clients = clients
        self._running: list[Future[None]] = []

    def __enter__(self) -> Lookups:
        self._running = [self._pool.submit(self._loop, number) for number in range(self._clients)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()
        for client in self._running:
            client.result()  # A client that broke has not gone on asking.

    def failed(self, before: float = float("inf")) -> list[Seen]:
        """Every look-up that was asked before an instant and not answered with 200."""
        return [s for s in self.seen if s.status != 200 and s.at < before]

    def _loop(self, number: int) -> None:
        while not self._stop.is_set():
            number, at = number + 1, time.time()
            token = self._token()
            turn = number % len(self._endpoints)
            ordered = self._endpoints[turn:] + self._endpoints[:turn]
            statuses = (once(base, self._path, token) for base in ordered)
            self.seen.append(Seen(at, next((s for s in statuses if s), 0)))


def once(base: str, path: str, token: str) -> int:
    """The status of one look-up; 0 where nobody answered."""
    at = urlsplit(base)
    connection = http.client.HTTPConnection(str(at.hostname), at.port, timeout=10)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
