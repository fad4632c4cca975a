"""Jobs on Container Apps: made for what they run, started, heard by their log stream, waited for.

Owns: the body of a job and its execution. Must not: know what a job does. A job's result is an event on its standard
output; the stream brings it, and where a short job's stream was gone too soon, the workspace does.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from engine.providers.azure.arm import Arm
from engine.providers.azure.container import Containers
from engine.providers.azure.logs import API, Logs
from engine.providers.azure.query import Query
from engine.providers.azure.site import Site
from engine.providers.base import Context, JobSpec

OnEvent = Callable[[Mapping[str, Any]], None]

_CODES = {"Succeeded": 0, "Failed": 1, "Degraded": 1, "Stopped": 143}
_ENDS = ("result", "error")
_LONGEST_S = 6 * 3600
_LATE_S = 300.0
"""How long the workspace may take to show what a container wrote."""


class Jobs:
    """A JobRunner: one Container Apps job a step, made anew for each run."""

    def __init__(self, arm: Arm, site: Site, containers: Containers, query: Query) -> None:
        self._arm, self._site, self._containers, self._query = arm, site, containers, query
        self._logs = Logs(arm, site)

    def run(self, job: JobSpec, on_event: OnEvent, cancelled: Callable[[], bool]) -> int:
        """Run to the end; returns the exit code (143 where it was stopped)."""
        name = self._name(job.name)
        path, id = f"jobs/{name}", self._site.id(f"Microsoft.App/jobs/{name}")
        self._arm.put(id, API, self._body(name, job), Context(lambda _: None, cancelled))
        started = self._arm.post(f"{id}/start", API)
        execution = str(started.get("name") or str(started.get("id")).rpartition("/")[2])
        heard = _Heard(on_event)
        over = threading.Event()
        listener = threading.Thread(target=self._listen, args=(path, execution, heard, over), daemon=True)
        listener.start()
        try:
            status = self._await(id, execution, cancelled)
        finally:
            over.set()
        listener.join(15.0)
        if not heard.ended and status in ("Succeeded", "Failed"):
            self._catch_up(name, execution, heard, cancelled)
        return _CODES.get(status, 1)

    def _name(self, job: str) -> str:
        kind, _, rest = job.partition(".")
        return f"{self._site.names['job']}-{rest.rpartition('-')[2] if '-' in rest else kind}"[:32].rstrip("-")

    def _body(self, name: str, job: JobSpec) -> dict[str, Any]:
        container = self._containers.container("job", job.command, job.environment, job.secrets)
        return self._containers.outer() | {"properties": {
            "environmentId": self._containers.environment, "workloadProfileName": "Consumption",
            "configuration": {"triggerType": "Manual", "replicaTimeout": _LONGEST_S, "replicaRetryLimit": 0,
                              "manualTriggerConfig": {"parallelism": 1, "replicaCompletionCount": 1},
                              "registries": self._containers.registries(),
                              "secrets": self._containers.secrets(name.rpartition("-")[2], job.secrets)},
            "template": {"containers": [container], **self._containers.volumes()}}}

    def _await(self, id: str, execution: str, cancelled: Callable[[], bool]) -> str:
        stopped = False
        while True:
            live = self._arm.get(f"{id}/executions/{execution}", API) or {}
            status = str((live.get("properties") or {}).get("status") or live.get("status") or "Running")
            if status in _CODES:
                return status
            if cancelled() and not stopped:
                self._arm.post(f"{id}/executions/{execution}/stop", API)
                stopped = True
            time.sleep(0.1 if self._site.cloud.own else 3.0)

    def _listen(self, path: str, execution: str, heard: _Heard, over: threading.Event) -> None:
        """Hear the stream, again where it was cut off, until the execution is over and nothing is left."""
        below = f"executions/{execution}"
        while not heard.ended:
            last_turn = over.is_set()
            for replica in self._logs.replicas(path, below):
                for line in self._logs.stream(path, below, replica):
                    heard.line(line)
            if last_turn:
                return
            over.wait(0.2 if self._site.cloud.own else 2.0)

    def _catch_up(self, name: str, execution: str, heard: _Heard, cancelled: Callable[[], bool]) -> None:
        until = time.monotonic() + _LATE_S
        while not heard.ended and time.monotonic() < until and not cancelled():
            for line in self._query.job_lines(name, execution):
                heard.line(line)
            if not heard.ended:
                time.sleep(0.2 if self._site.cloud.own else 10.0)


class _Heard:
    """Lines to events, each once: a stream that begins again repeats what it said."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._seen: set[str] = set()
        self._guard = threading.Lock()
        self.ended = False

    def line(self, text: str) -> None:
        with self._guard:
            begin = text.find("{")
            if begin < 0 or text in self._seen:
                return
            self._seen.add(text)
            try:
                event = json.loads(text[begin:])
            except ValueError:
                return
            if isinstance(event, dict) and "event" in event:
                self.ended = self.ended or event["event"] in _ENDS
                self._on_event(event)
