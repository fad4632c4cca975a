"""Microsoft.App: the revisions of container apps, and their replicas; to read, and to restart or end."""

from __future__ import annotations

from typing import Any

from tests.azure.arm import templates
from tests.azure.arm.clock import stamp
from tests.azure.arm.errors import ArmError
from tests.azure.arm.kinds.apps import VERSION, Apps
from tests.azure.arm.paths import Target
from tests.azure.arm.planes.revisions import Revision
from tests.azure.arm.resource import ResourceType
from tests.azure.arm.state import Resource
from tests.azure.arm.web import Answer, Request


class Revisions(ResourceType):
    """Read-only; actions activate, deactivate, restart."""

    type = "Microsoft.App/containerApps/revisions"
    version = VERSION
    tracked = False

    def _app(self, target: Target) -> Resource:
        at = target.id.lower().find("/revisions")
        found = self.state.get(target.id if at < 0 else target.id[:at])
        if found is None:
            raise ArmError(404, "ResourceNotFound", f"The app of '{target.id}' was not found.")
        return found

    def require(self, target: Target) -> Resource:
        app = self._app(target)
        name = target.names[1]
        if name not in app.private["revisions"]:
            raise ArmError(404, "RevisionNotFound", f"The revision '{name}' was not found.")
        return Resource(f"{app.id}/revisions/{name}", self, name, {}, 0.0, private={"app": app})

    def list(self, target: Target) -> Answer:
        app = self._app(target)
        return Answer(200, {"value": [self.shown(Resource(f"{app.id}/revisions/{name}", self, name, {}, 0.0,
                                                          private={"app": app})) for name in app.private["revisions"]]})

    def shown(self, resource: Resource) -> dict[str, Any]:
        app = resource.private["app"]
        known, revision = app.private["revisions"][resource.name], app.private["running"].get(resource.name)
        active = revision is not None or (not self.arm.real and resource.name == app.private["latest"])
        healthy = active and (revision is None or revision.ready())
        latest = app.private["latest"] == resource.name
        return {"id": resource.id, "name": resource.name, "type": self.type, "properties": {
            "createdTime": known["created"], "template": known["template"], "active": active,
            "replicas": len(revision.containers) if revision else 0, "trafficWeight": 100 if latest else 0,
            "healthState": "Healthy" if healthy else "Unhealthy", "provisioningState": "Provisioned",
            "runningState": "Running" if healthy else "Activating" if active else "Stopped"}}

    def action(self, resource: Resource, name: str, request: Request) -> Answer:
        app = resource.private["app"]
        revision = app.private["running"].get(resource.name)
        match name:
            case "restart" if revision is not None:
                kind = app.kind
                assert isinstance(kind, Apps)
                with app.private["lock"]:
                    app.private["running"].pop(resource.name).stop()
                    kind.start_revision(app, resource.name, templates.secret_values(self.arm, app.body))
                return Answer(200, b"")
            case "deactivate" if revision is not None:
                app.private["running"].pop(resource.name).stop()
                return Answer(200, b"")
            case "restart" | "activate" | "deactivate":
                return Answer(200, b"")
        return super().action(resource, name, request)

    def put(self, target: Target, request: Request) -> Answer:
        raise ArmError(405, "MethodNotAllowed", "A revision is made by a change of its app's template.")


class Replicas(Revisions):
    type = "Microsoft.App/containerApps/revisions/replicas"

    def list(self, target: Target) -> Answer:
        app = self._app(target)
        revision = app.private["running"].get(target.names[1])
        return Answer(200, {"value": [self._replica(app, revision, c) for c in revision.containers]
                            if revision is not None else []})

    def _replica(self, app: Resource, revision: Revision, container: Any) -> dict[str, Any]:
        ready, short = container.name in revision.ready_ones, container.container["name"]
        state = "Running" if container.running else "NotRunning"
        tail = f"/revisions/{revision.name}/replicas/{container.name}/containers/{short}"
        return {"id": f"{app.id}/revisions/{revision.name}/replicas/{container.name}", "name": container.name,
                "type": self.type, "properties": {
                    "createdTime": stamp(), "runningState": state, "runningStateDetails": "", "containers": [
                        {"name": short, "containerId": container.name, "ready": ready, "started": container.running,
                         "restartCount": container.restarts, "runningState": state, "runningStateDetails": "",
                         "logStreamEndpoint": f"{self.arm.endpoint}{app.id}{tail}/logstream"}]}}
