"""Microsoft.App/jobs: manual jobs and their executions, which run as processes; logs as streams."""

from __future__ import annotations

import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.azure.arm import definitions, templates
from tests.azure.arm.bodies import filled
from tests.azure.arm.clock import stamp
from tests.azure.arm.errors import ArmError, bad
from tests.azure.arm.paths import Target
from tests.azure.arm.planes.containers import Container
from tests.azure.arm.resource import ASYNC_201, LOCATION_202, Put, ResourceType
from tests.azure.arm.state import Operation, Resource
from tests.azure.arm.web import Answer, Request

VERSION = "2026-01-01"


class Execution:
    """One run: retries up to the limit, ends by the timeout, or when it is stopped."""

    def __init__(self, name: str, template: Mapping[str, Any], values: Mapping[str, str], retries: int,
                 timeout: float) -> None:
        self.name, self.template, self.status = name, template, "Running"
        self.started, self.ended = stamp(), ""
        self.container = Container(f"{name}-{secrets.token_hex(3)[:5]}", template, values,
                                   {"CONTAINER_APP_JOB_EXECUTION_NAME": name})
        self._retries, self._timeout = retries, timeout
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self.container.start()
        self._thread.start()

    def _run(self) -> None:
        deadline = time.monotonic() + self._timeout
        for attempt in range(self._retries + 1):
            if attempt:
                self.container.start()
            assert self.container.process is not None
            try:
                code = self.container.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.container.end()
                code = 1
            if code == 0 or self._stopped or time.monotonic() > deadline:
                break
        self.ended = stamp()
        self.status = "Stopped" if self._stopped else "Succeeded" if code == 0 else "Failed"

    def stop(self) -> None:
        self._stopped = True
        self.container.end(30)
        self._thread.join(35)


class Jobs(ResourceType):
    type = "Microsoft.App/jobs"
    version = VERSION
    style, delete_style = ASYNC_201, LOCATION_202
    seconds, update_seconds, delete_seconds = 20.0, 10.0, 10.0
    operations_path = "containerappOperationStatuses"
    busy = "ContainerAppsJobOperationInProgress"
    displays_location = True
    immutable = ("properties.environmentId",)
    immutable_error = (400, "ContainerAppsJobEnvironmentCannotBeChanged")

    def prepare(self, put: Put) -> None:
        templates.check_host(self, put)
        templates.check_template(put.properties)
        configuration = put.properties.get("configuration") or {}
        trigger = str(configuration.get("triggerType", "")).lower()
        if trigger and configuration.get(f"{trigger}TriggerConfig") is None:
            raise bad("JobTriggerConfigRequired", f"The trigger '{trigger}' wants {trigger}TriggerConfig.")
        if not 1 <= configuration.get("replicaTimeout", 1) <= 604_800:
            raise bad("JobReplicaTimeoutInvalid", "replicaTimeout is 1 to 604800 seconds.")

    def fill(self, resource: Resource) -> None:
        resource.private.setdefault("executions", {})
        filled(resource.properties, workloadProfileName="Consumption")
        filled(resource.properties["configuration"], replicaRetryLimit=0, identitySettings=[])
        filled(resource.body, identity={"type": "None"})

    def work(self, resource: Resource, old: Mapping[str, Any] | None) -> Callable[[], Any] | None:
        body = resource.body

        def check() -> None:
            templates.secret_values(self.arm, body)
            templates.check_pull(self.arm, body)

        return check

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        configuration = body["properties"]["configuration"]
        configuration["secrets"] = [
            {k: v for k, v in s.items() if k != "value"} for s in configuration.get("secrets") or []] or None
        body["properties"] |= {"outboundIpAddresses": [],
                               "eventStreamEndpoint": f"{self.arm.endpoint}{resource.id}/eventstream"}
        body["identity"] = templates.shown_identity(self.arm, body["identity"])
        return body

    def shown_state(self, resource: Resource) -> str:
        return "InProgress" if resource.state in ("Creating", "Updating") else resource.state

    def action(self, resource: Resource, name: str, request: Request) -> Answer:
        match name:
            case "start":
                return self._start(resource, request)
            case "stop":
                for execution in resource.private["executions"].values():
                    if execution.status == "Running":
                        execution.stop()
                return Answer(202, b"")
            case "listsecrets":
                return Answer(200, {"value": resource.properties["configuration"].get("secrets") or []})
            case "getauthtoken":
                token = self.arm.directory.token(request.caller, self.arm.endpoint)
                return Answer(200, {"id": resource.id, "name": resource.name, "type": self.type, "location":
                                    resource.body["location"], "properties": {"token": token, "expires": stamp()}})
        return super().action(resource, name, request)

    def _start(self, resource: Resource, request: Request) -> Answer:
        self._refuse_busy(resource)
        template = dict(resource.properties["template"])
        if request.body and request.body.strip() not in (b"null", b"{}"):
            given = request.json()
            problems = definitions.check(f"Microsoft.App/jobs/start@{VERSION}", given)
            if problems:
                raise bad("InvalidRequestContent", "; ".join(f"{where}: {what}" for where, what in problems))
            template |= {key: value for key, value in given.items() if value}
        properties = {**resource.properties, "template": template}
        templates.check_template(properties)
        body = {**resource.body, "properties": properties}
        templates.check_pull(self.arm, body)
        values = templates.secret_values(self.arm, body)
        configuration = resource.properties["configuration"]
        execution = Execution(f"{resource.name}-{secrets.token_hex(4)[:7]}", template, values,
                              configuration["replicaRetryLimit"], configuration["replicaTimeout"])
        resource.private["executions"][execution.name] = execution
        if self.arm.real:
            self.arm.console.watch(templates.workspace_of(self.arm, resource.body), execution.container,
                                   ContainerJobName_s=resource.name)
            execution.start()
        else:
            execution.status, execution.ended = "Succeeded", stamp()
        at = f"{resource.id}/executions/{execution.name}"
        running = Operation(at, "start", self.state.clock.due(1.0), lambda: None, lambda: None)
        self.state.begin(running, None)
        headers = self.arm.operations.headers(running, self, LOCATION_202, request.query["api-version"])
        return Answer(202, {"name": execution.name, "id": at}, headers)

    def removed(self, resource: Resource) -> None:
        for execution in resource.private.get("executions", {}).values():
            if execution.status == "Running":
                execution.stop()
            execution.container.forget()


class Executions(ResourceType):
    """Read-only; `stop` ends one."""

    type = "Microsoft.App/jobs/executions"
    version = VERSION
    tracked = False

    def _job(self, target: Target) -> Resource:
        at = target.id.lower().find("/executions")
        found = self.state.get(target.id if at < 0 else target.id[:at])
        if found is None:
            raise ArmError(404, "ResourceNotFound", f"The job of '{target.id}' was not found.")
        return found

    def require(self, target: Target) -> Resource:
        job = self._job(target)
        execution = job.private["executions"].get(target.names[1])
        if execution is None:
            raise ArmError(404, "JobExecutionNotFound", f"The execution '{target.names[1]}' was not found.")
        return self._resource(job, execution)

    def _resource(self, job: Resource, execution: Execution) -> Resource:
        return Resource(f"{job.id}/executions/{execution.name}", self, execution.name, {}, 0.0,
                        private={"execution": execution})

    def list(self, target: Target) -> Answer:
        job = self._job(target)
        return Answer(200, {"value": [self.shown(self._resource(job, e)) for e in job.private["executions"].values()]})

    def shown(self, resource: Resource) -> dict[str, Any]:
        execution = resource.private["execution"]
        ended = {"endTime": execution.ended} if execution.ended else {}
        return {"id": resource.id, "name": resource.name, "type": self.type, "properties": {
            "status": execution.status, "startTime": execution.started, "template": dict(execution.template), **ended}}

    def action(self, resource: Resource, name: str, request: Request) -> Answer:
        if name != "stop":
            return super().action(resource, name, request)
        execution = resource.private["execution"]
        if execution.status == "Running":
            self.state.pool.submit(execution.stop)
        return Answer(202, b"")

    def put(self, target: Target, request: Request) -> Answer:
        raise ArmError(405, "MethodNotAllowed", "An execution is made by the job's start.")


class ExecutionReplicas(Executions):
    type = "Microsoft.App/jobs/executions/replicas"

    def list(self, target: Target) -> Answer:
        execution = self.require(target).private["execution"]
        return Answer(200, {"value": [{"name": execution.container.name, "containers": [
            {"name": execution.container.container["name"]}]}]})


def stream(job: Resource, execution: str, follow: bool) -> Iterator[bytes]:
    """The log of an execution for the stream's endpoint."""
    found = job.private["executions"].get(execution)
    if found is None:
        raise ArmError(404, "JobExecutionNotFound", f"The execution '{execution}' was not found.")
    container: Container = found.container
    return container.lines(lambda: follow and found.status == "Running")
