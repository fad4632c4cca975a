"""Log streams of apps and jobs: lines as the containers write them.

Owns: the stream's address and its token. Must not: know what a line means.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from engine.model.diagnostic import Refused
from engine.providers.azure.arm import Arm
from engine.providers.azure.site import Site

API = "2026-01-01"


class Logs:
    """The environment's log streams. A path is `containerApps/NAME` or `jobs/NAME`."""

    def __init__(self, arm: Arm, site: Site) -> None:
        self._arm, self._site = arm, site

    def jobs(self) -> Sequence[str]:
        """The jobs that were made here, as steps name them."""
        prefix = f"{self._site.names['job']}-"
        return sorted(str(j["name"]).removeprefix(prefix) for j in self._arm.list(
            self._site.id("Microsoft.App/jobs"), API) if str(j["name"]).startswith(prefix))

    def read(self, app: str | None, name: str, *, follow: bool, lines: int) -> Iterator[str]:
        """The last lines of every replica of an app, or of the newest execution of a job."""
        if app is not None:
            live = self._arm.get(self._site.id(f"Microsoft.App/{app}"), API) or {"properties": {}}
            below = f"revisions/{live['properties'].get('latestReadyRevisionName')}"
            path = app
        else:
            path = f"jobs/{self._site.names['job']}-{name}"
            runs = self._arm.list(self._site.id(f"Microsoft.App/{path}/executions"), API)
            newest = max(runs, key=lambda r: str(_started(r)), default=None)
            if newest is None:
                return
            below = f"executions/{newest['name']}"
        for replica in self.replicas(path, below):
            shown = (f"{replica} | {line}" for line in self.stream(path, below, replica, follow=follow))
            yield from shown if follow else deque(shown, maxlen=lines)

    def replicas(self, path: str, below: str) -> Sequence[str]:
        """Names of the replicas of a revision or an execution; none where Azure shows none (any more)."""
        try:
            return [str(r["name"]) for r in self._arm.list(
                self._site.id(f"Microsoft.App/{path}/{below}/replicas"), API)]
        except Refused:
            return []

    def stream(self, path: str, below: str, replica: str, *, follow: bool = True) -> Iterator[str]:
        """Lines of one replica's container, until the stream ends."""
        live = self._arm.get(self._site.id(f"Microsoft.App/{path}"), API) or {"properties": {}}
        address = urlsplit(str(live["properties"].get("eventStreamEndpoint") or ""))
        containers = (live["properties"].get("template") or {}).get("containers") or [{}]
        token = self._arm.post(self._site.id(f"Microsoft.App/{path}/getAuthToken"), API)
        bearer = token.get("properties", {}).get("token") or token.get("token")
        url = (f"{address.scheme}://{address.netloc}/subscriptions/{self._site.subscription}/resourceGroups/"
               f"{self._site.names['rg']}/{path}/{below}/replicas/{replica}/containers/{containers[0].get('name')}"
               f"/logstream?follow={str(follow).lower()}&output=text&tailLines=300")
        try:
            with urlopen(Request(url, headers={"Authorization": f"Bearer {bearer}"}), timeout=120,
                         context=self._site.tls()) as answer:
                for raw in answer:
                    yield raw.decode(errors="replace").rstrip("\r\n")
        except (HTTPError, OSError, HTTPException, ValueError):
            return


def _started(run: dict[str, object]) -> object:
    properties = run.get("properties")
    return properties.get("startTime") if isinstance(properties, dict) else run.get("startTime")
