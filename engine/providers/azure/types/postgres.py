"""`postgres` and `firewall`: Database for PostgreSQL, flexible server, its parameters, and who may reach it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.model.diagnostic import Refused
from engine.model.value import Attributes
from engine.providers.azure.resource import OWN, AzureType
from engine.providers.base import ASIDE, Context, Foreign, Progress

API = "2025-08-01"
LOGIN = "txplan"
"""The administrator's login; Azure takes neither `admin` nor anything with `pg_`."""

FINGERPRINT = f"{OWN}admin"
_TIERS = {"B": "Burstable", "D": "GeneralPurpose", "E": "MemoryOptimized"}
_SYSTEM = frozenset({"postgres", "azure_maintenance", "azure_sys", ASIDE})


class Postgres(AzureType):
    """{name, tags, location, version, sku, storage_gb, parameters, admin_secret, public_network_access}."""

    type = "postgres"
    path = "Microsoft.DBforPostgreSQL/flexibleServers/{name}"
    api = API
    kind = "Microsoft.DBforPostgreSQL/flexibleServers"
    immutable = frozenset({"location", "version", "public_network_access"})
    grows = frozenset({"storage_gb"})

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """Passwords alone, no high availability, a week of backups; a tag keeps the password's fingerprint."""
        password = self.ground.secrets.get(str(spec["admin_secret"]))
        sku = str(spec["sku"])
        return {
            "sku": {"name": sku, "tier": _TIERS.get(sku.removeprefix("Standard_")[:1], "GeneralPurpose")},
            "tags": {FINGERPRINT: self.ground.secrets.fingerprint(password)},
            "properties": {
                "createMode": "Default", "version": str(spec["version"]), "administratorLogin": LOGIN,
                "administratorLoginPassword": password, "storage": {"storageSizeGB": spec["storage_gb"]},
                "backup": {"backupRetentionDays": 7, "geoRedundantBackup": "Disabled"},
                "highAvailability": {"mode": "Disabled"},
                "authConfig": {"passwordAuth": "Enabled", "activeDirectoryAuth": "Disabled"},
                "network": {"publicNetworkAccess": spec["public_network_access"]}}}

    def attributes(self, name: str, live: Mapping[str, Any]) -> dict[str, Any]:
        """Version, size, and the parameters that somebody has set."""
        properties = live["properties"]
        return {"version": int(str(properties.get("version") or "0").partition(".")[0]),
                "sku": (live.get("sku") or {}).get("name"), "admin_secret": "postgres-admin",
                "storage_gb": (properties.get("storage") or {}).get("storageSizeGB"),
                "parameters": self._parameters(name),
                "public_network_access": (properties.get("network") or {}).get("publicNetworkAccess") or "Enabled"}

    def needs(self, name: str, live: Mapping[str, Any]) -> list[str]:
        """The present password, where the tag tells of another; to be started, where it was stopped."""
        found = []
        try:
            now = self.ground.secrets.describe("postgres-admin")
        except Refused:
            now = None
        if now is not None and (live.get("tags") or {}).get(FINGERPRINT) != now.fingerprint:
            found.append("admin-password")
        if str(live["properties"].get("state")) in ("Stopped", "Disabled"):
            found.append("start")
        return found

    def apply(self, name: str, spec: Attributes, context: Context) -> None:
        """A server that was stopped is started first: it takes no change before."""
        live = self.read(name)
        if live is not None and str(live["properties"].get("state")) == "Stopped":
            context.emit(Progress(note="starting the server"))
            self.arm.put(f"{self.id(name)}/start", API, {}, context, method="POST")
        super().apply(name, spec, context)

    def after(self, name: str, spec: Attributes, context: Context) -> None:
        """Set what is declared, take back what is not, and restart where a parameter asks for it."""
        wanted: Any = spec["parameters"]
        live = self._parameters(name)
        changes = {k: str(v) for k, v in wanted.items() if live.get(k) != str(v)}
        back = [k for k in live if k not in wanted]
        for key in sorted([*changes, *back]):
            context.emit(Progress(note=f"setting {key}"))
            body = {"value": changes[key], "source": "user-override"} if key in changes else {
                "value": self._default(name, key), "source": "user-override"}
            self.arm.put(f"{self.id(name)}/configurations/{key}", API, {"properties": body}, context)
        if (changes or back) and any(c["properties"].get("isConfigPendingRestart") for c in self._all(name)):
            context.emit(Progress(note="restarting: a parameter needs it"))
            self.arm.put(f"{self.id(name)}/restart", API, {}, context, method="POST")

    def ready(self, name: str) -> str | None:
        """None where it says so."""
        live = self.read(name)
        if live is None:
            return "Azure to show it"
        state = str(live["properties"].get("state"))
        return None if state == "Ready" else f"Azure: {state}"

    def foreign(self, name: str) -> Sequence[Foreign] | None:
        """Also databases that are neither the environment's nor Azure's own."""
        around = super().foreign(name)
        if around is None:
            return None
        known = _SYSTEM | {str(self.site.environment.site["database"])}
        inside = [str(d["name"]) for d in self.arm.list(f"{self.id(name)}/databases", API)]
        return [*around, *(Foreign(f"database {d}", "foreign") for d in inside if d not in known)]

    def _all(self, name: str) -> list[dict[str, Any]]:
        return self.arm.list(f"{self.id(name)}/configurations", API)

    def _parameters(self, name: str) -> dict[str, str]:
        return {str(c["name"]): str(c["properties"].get("value")) for c in self._all(name)
                if c["properties"].get("source") == "user-override"
                and c["properties"].get("value") != c["properties"].get("defaultValue")}

    def _default(self, name: str, key: str) -> str:
        return next((str(c["properties"].get("defaultValue")) for c in self._all(name) if c["name"] == key), "")


class Firewall(AzureType):
    """{name, first, last, server}: a range of addresses that may reach the server."""

    type = "firewall"
    path = "Microsoft.DBforPostgreSQL/flexibleServers/{pg}/firewallRules/{name}"
    api = API
    immutable = frozenset({"server"})

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """The range."""
        return {"properties": {"startIpAddress": spec["first"], "endIpAddress": spec["last"]}}

    def attributes(self, name: str, live: Mapping[str, Any]) -> dict[str, Any]:
        """The range."""
        return {"first": live["properties"].get("startIpAddress"), "last": live["properties"].get("endIpAddress"),
                "server": self.site.names["pg"]}


TYPES = (Postgres, Firewall)
