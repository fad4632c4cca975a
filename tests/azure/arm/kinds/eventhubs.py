"""Microsoft.EventHub: namespaces, hubs, consumer groups, authorization rules. A real Kafka broker is behind them."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from tests.azure.arm import addresses
from tests.azure.arm.bodies import filled, value_at
from tests.azure.arm.clock import stamp
from tests.azure.arm.errors import ArmError, bad
from tests.azure.arm.paths import Target, display
from tests.azure.arm.planes.kafka import Broker
from tests.azure.arm.resource import LOCATION_202, POLLED, Put, ResourceType
from tests.azure.arm.state import Resource
from tests.azure.arm.web import Answer, Request

VERSION = "2026-01-01"
MOST_HOURS = {"Basic": 24, "Standard": 168, "Premium": 2160}
ROOT = "RootManageSharedAccessKey"


class Namespaces(ResourceType):
    type = "Microsoft.EventHub/Namespaces"
    version = VERSION
    style = POLLED
    created = 200
    seconds, update_seconds, delete_seconds = 90.0, 10.0, 30.0
    delete_style = LOCATION_202
    busy = "NamespaceInTransition"
    displays_location = True
    global_name = (400, "NamespaceUnavailable")
    immutable = ("properties.zoneRedundant", "properties.clusterArmId")

    def prepare(self, put: Put) -> None:
        sku = put.body.get("sku") or {"name": "Standard"}
        if sku.get("tier", sku["name"]) != sku["name"]:
            raise bad("BadRequest", "SubCode=40000. The sku's name and tier must be the same.", "sku")
        if put.old is not None and (put.old.body["sku"]["name"] == "Premium") != (sku["name"] == "Premium"):
            raise bad("BadRequest", "SubCode=40000. A namespace cannot move to or from Premium.", "sku")
        if sku["name"] == "Basic" and put.properties.get("kafkaEnabled"):
            raise bad("BadRequest", "SubCode=40000. Kafka is not offered in the Basic tier.", "kafkaEnabled")
        if put.properties.get("maximumThroughputUnits") and not put.properties.get("isAutoInflateEnabled"):
            raise bad("BadRequest", "SubCode=40000. maximumThroughputUnits wants isAutoInflateEnabled.")

    def fill(self, resource: Resource) -> None:
        private = resource.private
        private.setdefault("host", addresses.fresh(9093))
        private.setdefault("created", stamp())
        filled(resource.body, tags={}, sku={"name": "Standard"})
        filled(resource.body["sku"], tier=resource.body["sku"]["name"], capacity=1)
        kafka = resource.body["sku"]["name"] != "Basic"
        filled(resource.properties, disableLocalAuth=False, zoneRedundant=False, isAutoInflateEnabled=False,
               maximumThroughputUnits=0, kafkaEnabled=kafka, minimumTlsVersion="1.2", publicNetworkAccess="Enabled")
        private["updated"] = stamp()

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        host = resource.private["host"]
        body["properties"] |= {
            "metricId": f"{self.arm.subscription}:{resource.name}", "createdAt": resource.private["created"],
            "updatedAt": resource.private["updated"], "serviceBusEndpoint": f"https://{host}:443/",
            "status": "Active" if resource.state == "Succeeded" else "Activating",
        }
        connections = self.arm.networks.connections_to(resource.id)
        if connections:
            body["properties"]["privateEndpointConnections"] = connections
        return body

    def shown_state(self, resource: Resource) -> str:
        return "Created" if resource.state == "Creating" else resource.state

    def work(self, resource: Resource, old: Mapping[str, Any] | None) -> Callable[[], Any] | None:
        if old is None:
            self._rule(resource)
        if not self.arm.real or old is not None:
            return None
        broker = resource.private["broker"] = Broker(self.arm, resource.private["host"], resource.id)
        return broker.start

    def _rule(self, resource: Resource) -> None:
        kind = self.arm.types.by_name[Rules.type.lower()]
        rule = Resource(f"{resource.id}/authorizationRules/{ROOT}", kind, ROOT,
                        {"properties": {"rights": ["Listen", "Manage", "Send"]}}, 0.0)
        kind.fill(rule)
        self.state.resources[rule.id.lower()] = rule

    def removed(self, resource: Resource) -> None:
        broker = resource.private.pop("broker", None)
        if broker is not None:
            broker.stop()


class _Child(ResourceType):
    version = VERSION
    created = 200
    shows_state = False

    def namespace(self, resource_id: str) -> Resource:
        found = self.state.get("/".join(resource_id.split("/")[:9]))
        assert found is not None
        return found

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        place = display(self.namespace(resource.id).body["location"])
        return body | {"location": place}


class Hubs(_Child):
    type = "Microsoft.EventHub/Namespaces/EventHubs"
    immutable = ("properties.retentionDescription.cleanupPolicy",)
    immutable_error = (400, "BadRequest")

    def prepare(self, put: Put) -> None:
        sku = self.namespace(put.target.id).body["sku"]["name"]
        partitions = put.properties.get("partitionCount")
        if put.old is not None and partitions is not None and sku != "Premium" and \
                partitions != put.old.properties["partitionCount"]:
            raise bad("BadRequest", "SubCode=40000. The partition count of an Event Hub cannot be changed.")
        if partitions is not None and partitions > (100 if sku == "Premium" else 32):
            raise bad("BadRequest", f"SubCode=40000. {partitions} partitions are too many.", "partitionCount")
        hours = value_at(put.properties, "retentionDescription.retentionTimeInHours")
        days = put.properties.get("messageRetentionInDays")
        if hours is not None and days is not None and hours != days * 24:
            raise bad("BadRequest", "SubCode=40000. The two retentions contradict each other.")
        if max(hours or 0, (days or 0) * 24) > MOST_HOURS[sku]:
            raise bad("MessagingGatewayBadRequest", f"SubCode=40000. Retention is at most {MOST_HOURS[sku]} hours.")

    def fill(self, resource: Resource) -> None:
        properties, private = resource.properties, resource.private
        private.setdefault("created", stamp())
        private["updated"] = stamp()
        filled(properties, status="Active", partitionCount=private.get("partitions", 4), retentionDescription={})
        private["partitions"] = properties["partitionCount"]
        hours = properties["retentionDescription"].get("retentionTimeInHours") or \
            (properties.get("messageRetentionInDays") or 7) * 24
        filled(properties["retentionDescription"], cleanupPolicy="Delete", retentionTimeInHours=hours)
        properties["messageRetentionInDays"] = max(1, hours // 24)

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        body["properties"] |= {"partitionIds": [str(n) for n in range(resource.private["partitions"])],
                               "createdAt": resource.private["created"], "updatedAt": resource.private["updated"]}
        return super().show(resource, body)

    def work(self, resource: Resource, old: Mapping[str, Any] | None) -> Callable[[], Any] | None:
        if old is None:
            kind = self.arm.types.by_name[ConsumerGroups.type.lower()]
            default = Resource(f"{resource.id}/consumergroups/$Default", kind, "$Default", {"properties": {}}, 0.0)
            kind.fill(default)
            self.state.resources[default.id.lower()] = default
        broker = self.namespace(resource.id).private.get("broker")
        hours = resource.properties["retentionDescription"]["retentionTimeInHours"]
        return None if broker is None else lambda: broker.ensure(
            resource.name, resource.private["partitions"], hours)

    def removed(self, resource: Resource) -> None:
        namespace = self.state.get("/".join(resource.id.split("/")[:9]))
        broker = namespace.private.get("broker") if namespace is not None else None
        if broker is not None:
            broker.drop(resource.name)


class ConsumerGroups(_Child):
    type = "Microsoft.EventHub/Namespaces/EventHubs/ConsumerGroups"

    def prepare(self, put: Put) -> None:
        sku = self.namespace(put.target.id).body["sku"]["name"]
        count = len(self.state.of_type(self.type, put.target.parent))
        if put.old is None and count >= {"Basic": 1, "Standard": 20}.get(sku, 100):
            raise ArmError(403, "MessagingGatewayQuotaExceeded", "SubCode=40301. The hub has as many consumer groups "
                           "as its tier allows.")

    def fill(self, resource: Resource) -> None:
        resource.private.setdefault("created", stamp())
        resource.private["updated"] = stamp()

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        body.setdefault("properties", {}).update(createdAt=resource.private["created"],
                                                 updatedAt=resource.private["updated"])
        return super().show(resource, body)

    def may_delete(self, resource: Resource) -> None:
        if resource.name == "$Default":
            raise bad("BadRequest", "SubCode=40000. The default consumer group cannot be deleted.")


class Rules(_Child):
    """A rule of the namespace; keys only by listKeys."""

    type = "Microsoft.EventHub/Namespaces/AuthorizationRules"

    def prepare(self, put: Put) -> None:
        rights = put.properties.get("rights") or []
        if not rights:
            raise bad("BadRequest", "SubCode=40000. A rule needs at least one right.", "rights")
        if "Manage" in rights and not {"Listen", "Send"} <= set(rights):
            raise bad("BadRequest", "SubCode=40000. Manage permission should also include Send and Listen.", "rights")

    def fill(self, resource: Resource) -> None:
        for key in ("primary", "secondary"):
            resource.private.setdefault(key, base64.b64encode(secrets.token_bytes(32)).decode())

    def action(self, resource: Resource, name: str, request: Request) -> Answer:
        if name == "regeneratekeys":
            which = "primary" if (request.json() or {}).get("keyType") == "PrimaryKey" else "secondary"
            resource.private[which] = base64.b64encode(secrets.token_bytes(32)).decode()
        elif name != "listkeys":
            return super().action(resource, name, request)
        return Answer(200, self.keys(resource))

    def keys(self, resource: Resource) -> dict[str, Any]:
        host = self.namespace(resource.id).private["host"]
        entity = f";EntityPath={resource.id.split('/')[10]}" if len(resource.id.split("/")) > 11 else ""
        text = f"Endpoint=sb://{host}/;SharedAccessKeyName={resource.name};SharedAccessKey="
        return {"keyName": resource.name, "primaryKey": resource.private["primary"],
                "secondaryKey": resource.private["secondary"],
                "primaryConnectionString": f"{text}{resource.private['primary']}{entity}",
                "secondaryConnectionString": f"{text}{resource.private['secondary']}{entity}"}


class HubRules(Rules):
    type = "Microsoft.EventHub/Namespaces/EventHubs/AuthorizationRules"


class NetworkRules(_Child):
    """There is one, `default`, with the namespace."""

    type = "Microsoft.EventHub/Namespaces/NetworkRuleSets"

    def require(self, target: Target) -> Resource:
        found = self.state.get(target.id)
        if found is None and self.state.get(target.parent) is not None and target.names[-1] == "default":
            found = Resource(target.id, self, "default", {"properties": {}}, 0.0)
            self.fill(found)
        return found or super().require(target)

    def fill(self, resource: Resource) -> None:
        filled(resource.properties, publicNetworkAccess="Enabled", defaultAction="Allow", virtualNetworkRules=[],
               ipRules=[], trustedServiceAccessEnabled=False)
