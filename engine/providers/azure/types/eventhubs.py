"""Event Hubs: `namespace`, `hub`, `consumer-group` and `rule`, which lie in each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.model.value import Attributes
from engine.providers.azure.resource import AzureType
from engine.providers.base import Context

API = "2026-01-01"


class Namespace(AzureType):
    """{name, tags, location, engine, sku, units, public_network_access}; Kafka needs Standard or higher."""

    type = "namespace"
    path = "Microsoft.EventHub/namespaces/{name}"
    api = API
    kind = "Microsoft.EventHub/namespaces"
    immutable = frozenset({"location", "sku", "engine"})

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """TLS 1.2 and Kafka come with it."""
        return {"sku": {"name": spec["sku"], "tier": spec["sku"], "capacity": spec["units"]},
                "properties": {"minimumTlsVersion": "1.2", "publicNetworkAccess": spec["public_network_access"]}}

    def attributes(self, name: str, live: Mapping[str, Any]) -> dict[str, Any]:
        """Its size and who reaches it."""
        sku = live.get("sku") or {}
        return {"engine": "eventhubs", "sku": sku.get("name"), "units": sku.get("capacity"),
                "public_network_access": live["properties"].get("publicNetworkAccess") or "Enabled"}

    def ready(self, name: str) -> str | None:
        """None where it is active: it is created some time before."""
        live = self.read(name)
        if live is None:
            return "Azure to show it"
        status = str(live["properties"].get("status") or "Active")
        state = str(live["properties"].get("provisioningState") or "Succeeded")
        return None if status == "Active" and state == "Succeeded" else f"Azure: {state}, {status}"


class Hub(AzureType):
    """{name, partitions, retention_hours, namespace}."""

    type = "hub"
    path = "Microsoft.EventHub/namespaces/{evh}/eventhubs/{name}"
    api = API
    immutable = frozenset({"partitions", "namespace"})

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """Old events are deleted, never compacted."""
        return {"properties": {"partitionCount": spec["partitions"], "retentionDescription": {
            "cleanupPolicy": "Delete", "retentionTimeInHours": round(float(str(spec["retention_hours"])))}}}

    def attributes(self, name: str, live: Mapping[str, Any]) -> dict[str, Any]:
        """Partitions and retention, which older answers give in days."""
        properties = live["properties"]
        hours = (properties.get("retentionDescription") or {}).get("retentionTimeInHours")
        days = properties.get("messageRetentionInDays")
        return {"partitions": properties.get("partitionCount"), "namespace": self.site.names["evh"],
                "retention_hours": hours if hours is not None else days * 24 if days is not None else None}


class ConsumerGroup(AzureType):
    """{name: hub/group, namespace}: the AMQP group of the first generation's name. Kafka's groups are made by use and
    hold for the whole namespace; this one is for those who look into a hub by other means."""

    type = "consumer-group"
    api = API
    immutable = frozenset({"namespace"})

    def id(self, name: str) -> str:
        """Below its hub."""
        hub, _, group = name.partition("/")
        return self.site.id(f"Microsoft.EventHub/namespaces/{self.site.names['evh']}/eventhubs/{hub}"
                            f"/consumergroups/{group}")

    def observe(self, name: str) -> Attributes | None:
        """That it is there."""
        return None if self.read(name) is None else {"name": name, "namespace": self.site.names["evh"]}

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """Nothing is to be said of it."""
        return {"properties": {}}


class Rule(AzureType):
    """{name, rights, namespace}: an authorization rule, and with it a key."""

    type = "rule"
    path = "Microsoft.EventHub/namespaces/{evh}/authorizationRules/{name}"
    api = API
    immutable = frozenset({"namespace"})

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """Its rights."""
        rights: Any = spec["rights"]
        return {"properties": {"rights": list(rights)}}

    def attributes(self, name: str, live: Mapping[str, Any]) -> dict[str, Any]:
        """Its rights, sorted: Azure keeps no order."""
        return {"rights": sorted(live["properties"].get("rights") or []), "namespace": self.site.names["evh"]}


TYPES = (Namespace, Hub, ConsumerGroup, Rule)
