"""Apps on Container Apps: revisions by digest, probes, scaling by the stream's lag, readiness over the ingress.

Owns: the body of an app and what is read back of it. Must not: know what an app does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.model.diagnostic import Refused, error
from engine.providers.azure import web
from engine.providers.azure.arm import Arm
from engine.providers.azure.container import Containers
from engine.providers.azure.logs import Logs
from engine.providers.azure.site import Site
from engine.providers.base import AppSpec, AppState, Context

API = "2026-01-01"
PORT = 8000
_TOKENS = {"consumer": "con", "api": "api"}
_LAG = "1000"
"""Events behind per replica from which KEDA adds one."""


class Apps:
    """An AppHost."""

    def __init__(self, arm: Arm, site: Site, containers: Containers) -> None:
        self._arm, self._site, self._containers = arm, site, containers
        self._logs = Logs(arm, site)

    def describe(self, name: str) -> AppState | None:
        """The app as it is deployed, or None."""
        live = self._arm.get(self._id(name), API)
        if live is None:
            return None
        properties = live["properties"]
        container = (properties.get("template") or {}).get("containers", [{}])[0]
        environment = {e["name"]: str(e["value"]) for e in container.get("env") or [] if "value" in e}
        replicas = int(((properties.get("template") or {}).get("scale") or {}).get("minReplicas") or 0)
        done = properties.get("provisioningState") == "Succeeded"
        revision = environment.get("APP_REVISION", "")
        up = done and properties.get("runningStatus") in (None, "Running")
        fqdn = ((properties.get("configuration") or {}).get("ingress") or {}).get("fqdn")
        return AppState(name, revision if done else f"deploying:{revision}", replicas, replicas if up else 0,
                        [f"https://{fqdn}"] if fqdn else [], environment)

    def deploy(self, app: AppSpec, context: Context) -> AppState:
        """Run exactly this revision; Container Apps moves the traffic when it is ready."""
        owner = _token(app.name)
        container = self._containers.container(
            app.name, app.command, {**app.environment, "WEB_HOST": "0.0.0.0", "WEB_PORT": str(PORT), "REPLICA": "0"},
            app.secrets)
        container["probes"] = [_probe("Startup", "/healthz", 5, 24), _probe("Liveness", "/healthz", 10, 6),
                               _probe("Readiness", "/readyz", 5, 3)]
        most = max(app.replicas, app.max_replicas)
        self._arm.put(self._id(app.name), API, self._containers.outer() | {"properties": {
            "environmentId": self._containers.environment, "workloadProfileName": "Consumption",
            "configuration": {
                "activeRevisionsMode": "Single", "registries": self._containers.registries(),
                "secrets": self._containers.secrets(owner, app.secrets),
                # In an environment without a public address "external" reaches as far as the network.
                "ingress": {"external": True, "targetPort": PORT, "transport": "Http", "allowInsecure": False,
                            "traffic": [{"latestRevision": True, "weight": 100}]}},
            "template": {
                "containers": [container], **self._containers.volumes(),
                "terminationGracePeriodSeconds": app.stop_seconds,
                "scale": {"minReplicas": app.replicas, "maxReplicas": most, **_rules(app, most)}}}}, context)
        state = self.describe(app.name)
        if state is None:
            raise Refused([error("app-gone", f"Azure shows no app {app.name} after it was deployed.",
                                 mend="Apply again.")])
        return state

    def ready(self, name: str) -> str | None:
        """None where the newest revision is the one that serves, and answers 200 on /readyz."""
        live = self._arm.get(self._id(name), API)
        if live is None:
            return "the app to be deployed"
        properties = live["properties"]
        newest, serving = properties.get("latestRevisionName"), properties.get("latestReadyRevisionName")
        if newest != serving:
            return f"revision {newest} to become ready"
        fqdn = ((properties.get("configuration") or {}).get("ingress") or {}).get("fqdn")
        answer = web.get(f"https://{fqdn}/readyz", self._site.tls()) if fqdn else None
        if answer is None:
            return f"{name} to answer at {fqdn}"
        return None if answer[0] == 200 else f"{name}: {' '.join(answer[1].split())[:200] or answer[0]}"

    def remove(self, name: str, context: Context) -> None:
        """Delete it; none is no error."""
        self._arm.delete(self._id(name), API, context)

    def names(self) -> Sequence[str]:
        """All deployed apps, sorted."""
        return sorted(name for name in _TOKENS if self._arm.get(self._id(name), API) is not None)

    def log_names(self) -> Sequence[str]:
        """The apps and the jobs."""
        return sorted({*self.names(), *self._logs.jobs()})

    def logs(self, name: str, *, follow: bool, lines: int) -> Iterator[str]:
        """The last lines of each replica's log stream, then what is added."""
        path = f"containerApps/{self._site.names[_token(name)]}" if name in _TOKENS else None
        yield from self._logs.read(path, name, follow=follow, lines=lines)

    def _id(self, name: str) -> str:
        return self._site.id(f"Microsoft.App/containerApps/{self._site.names[_token(name)]}")


def _token(name: str) -> str:
    return _TOKENS.get(name, "api")


def _probe(kind: str, path: str, every: int, failures: int) -> dict[str, Any]:
    return {"type": kind, "httpGet": {"path": path, "port": PORT, "scheme": "HTTP"}, "periodSeconds": every,
            "failureThreshold": failures, "timeoutSeconds": 3}


def _rules(app: AppSpec, most: int) -> dict[str, Any]:
    """More replicas where the stream is behind, never more than partitions: a rule a hub, with the key that reads."""
    environment: Mapping[str, str] = {**app.environment, **app.secrets}
    if "CONSUMER_GROUP" not in environment or most <= app.replicas:
        return {}
    auth = [{"triggerParameter": "password", "secretRef": "kafka-sasl-password"}]
    return {"rules": [{"name": f"lag-{key.removeprefix('HUB_').lower()}", "custom": {"type": "kafka", "metadata": {
        "bootstrapServers": environment["KAFKA_BOOTSTRAP"], "consumerGroup": environment["CONSUMER_GROUP"],
        "topic": environment[key], "lagThreshold": _LAG, "sasl": "plaintext", "tls": "enable",
        "username": "$ConnectionString"}, "auth": auth}}
        for key in ("HUB_LEDGER", "HUB_ORDER") if key in environment]}
