"""A revision of a container app: its replicas, their probes and restarts. And the ingress before all revisions."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.azure.arm import addresses
from tests.azure.arm.planes.containers import Container
from tests.azure.arm.web import Answer, Listener, Request

if TYPE_CHECKING:
    from tests.azure.arm.server import ArmServer

_EVERY_S = 0.1


class Revision:
    """`start` returns at once; `ready` tells when every replica answers its readiness probe."""

    def __init__(self, name: str, template: Mapping[str, Any], secrets: Mapping[str, str], replicas: int) -> None:
        self.name, self.template = name, template
        self.grace = float(template.get("terminationGracePeriodSeconds") or 30)
        app = name.rsplit("--", 1)[0]
        self.containers = [
            Container(f"{name}-{number:05x}", template, secrets,
                      {"CONTAINER_APP_NAME": app, "CONTAINER_APP_REVISION": name,
                       "CONTAINER_APP_REPLICA_NAME": f"{name}-{number:05x}", "REPLICA": str(number)})
            for number in range(replicas)
        ]
        self.ready_ones: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        for container in self.containers:
            container.start()
        self._thread.start()

    def ready(self) -> bool:
        return len(self.ready_ones) == len(self.containers)

    def _watch(self) -> None:
        """Restart what ended, and probe what runs."""
        probe = next((p for p in self.template["containers"][0].get("probes") or []
                      if p.get("type") == "Readiness"), None)
        while not self._stopping.wait(_EVERY_S):
            for container in self.containers:
                if not container.running:
                    self.ready_ones.discard(container.name)
                    container.restarts += 1
                    if not self._stopping.wait(min(0.2 * container.restarts, 5)):
                        container.start()
                elif probe is None or _answers(container.address, probe):
                    self.ready_ones.add(container.name)
                else:
                    self.ready_ones.discard(container.name)

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10)
        if self.containers:
            with ThreadPoolExecutor(len(self.containers)) as pool:
                list(pool.map(lambda c: c.end(self.grace), self.containers))
        for container in self.containers:
            container.forget()


def _answers(address: str, probe: Mapping[str, Any]) -> bool:
    want = probe.get("httpGet") or {}
    connection = http.client.HTTPConnection(address, want.get("port", 80), timeout=probe.get("timeoutSeconds") or 1)
    try:
        connection.request("GET", want.get("path") or "/")
        return 200 <= connection.getresponse().status < 400
    except OSError:
        return False
    finally:
        connection.close()


class Ingress:
    """HTTPS at an address of its own; `choose` gives the (revision, port) that a request goes to, or None."""

    def __init__(self, arm: ArmServer, choose: Callable[[], tuple[Revision, int] | None]) -> None:
        self._choose = choose
        host = addresses.fresh()
        self._listener = Listener(self._forward, arm.certificates.context(host), host)
        self.fqdn = f"{host}:{self._listener.port}"

    def close(self) -> None:
        self._listener.close()

    def _forward(self, request: Request) -> Answer:
        chosen = self._choose()
        ready = [c for c in chosen[0].containers if c.name in chosen[0].ready_ones] if chosen else []
        if chosen is None or not ready:
            return Answer(503, b"no healthy upstream")
        container = random.choice(ready)
        headers = {k: v for k, v in request.headers.items() if k not in ("connection", "host", "content-length")}
        connection = http.client.HTTPConnection(container.address, chosen[1], timeout=60)
        started = time.monotonic()
        try:
            connection.request(request.method, request.target, request.body or None,
                               {**headers, "X-Forwarded-Proto": "https", "Host": request.host})
            answer = connection.getresponse()
            body = answer.read()
        except OSError:
            return Answer(503, b"upstream connect error or disconnect/reset before headers")
        finally:
            connection.close()
        kept = {k: v for k, v in answer.getheaders() if k.lower() not in (
            "content-length", "connection", "transfer-encoding", "date", "server")}
        return Answer(answer.status, body,
                      {**kept, "x-envoy-upstream-service-time": str(round((time.monotonic() - started) * 1000))})
