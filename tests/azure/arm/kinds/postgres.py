"""Microsoft.DBforPostgreSQL: flexible servers, databases, parameters, firewall rules; PostgreSQL is behind them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from tests.azure.arm import addresses
from tests.azure.arm.bodies import filled, value_at
from tests.azure.arm.clock import stamp
from tests.azure.arm.errors import ArmError, bad
from tests.azure.arm.paths import Target
from tests.azure.arm.planes.postgres import Cluster
from tests.azure.arm.resource import ASYNC_202, Put, ResourceType
from tests.azure.arm.state import Resource
from tests.azure.arm.web import Answer, Request

VERSION = "2025-08-01"
SYSTEM = ("postgres", "azure_maintenance", "azure_sys")
RESERVED = {"azure_superuser", "azure_pg_admin", "admin", "administrator", "root", "guest", "public", "postgres"}
TIERS = {"Burstable": "Standard_B", "GeneralPurpose": "Standard_D", "MemoryOptimized": "Standard_E"}
SIZES = {32, 64, 128, 256, 512, 1024, 2048, 4095, 4096, 8192, 16384, 32767}
IOPS = {32: ("P4", 120), 64: ("P6", 240), 128: ("P10", 500), 256: ("P15", 1100), 512: ("P20", 2300)}
PARAMETERS: dict[str, tuple[str, str, bool]] = {  # name: default, data type, whether it takes effect without a restart
    "azure.extensions": ("", "Set", True), "require_secure_transport": ("ON", "Boolean", True),
    "max_connections": ("50", "Integer", False), "shared_buffers": ("32768", "Integer", False),
    "work_mem": ("4096", "Integer", True), "log_min_duration_statement": ("-1", "Integer", True),
    "statement_timeout": ("0", "Integer", True), "lock_timeout": ("0", "Integer", True),
    "idle_in_transaction_session_timeout": ("0", "Integer", True), "autovacuum": ("ON", "Boolean", True),
    "wal_level": ("replica", "Enumeration", False), "max_wal_size": ("2048", "Integer", True),
    "maintenance_work_mem": ("99328", "Integer", True), "ssl_min_protocol_version": ("TLSv1.2", "Enumeration", True),
    "timezone": ("UTC", "String", True), "log_connections": ("on", "Boolean", True),
    "effective_cache_size": ("98304", "Integer", True), "random_page_cost": ("2", "Numeric", True),
    "synchronous_commit": ("on", "Enumeration", True), "checkpoint_timeout": ("600", "Integer", True),
}


class Servers(ResourceType):
    type = "Microsoft.DBforPostgreSQL/flexibleServers"
    version = VERSION
    style = delete_style = ASYNC_202
    seconds, update_seconds, delete_seconds, retry_after = 360.0, 60.0, 60.0, 60.0
    operations_path = "azureAsyncOperation"
    upsert_name = "UpsertServerManagementOperationV2"
    busy = "ServerIsBusy"
    merge_on_put = True
    displays_location = True
    shows_state = False
    seen_from = 0.5
    global_name = (409, "ServerNameAlreadyExists")
    immutable = ("properties.administratorLogin", "properties.backup.geoRedundantBackup",
                 "properties.availabilityZone", "properties.network.delegatedSubnetResourceId")
    immutable_error = (400, "PropertyChangeNotAllowed")

    def prepare(self, put: Put) -> None:
        properties = put.properties
        password = properties.get("administratorLoginPassword")
        if put.old is None:
            self._prepare_new(put)
        if password is not None:
            _check_password(password)
        sku, size = put.body.get("sku"), value_at(properties, "storage.storageSizeGB")
        if sku and not sku["name"].startswith(TIERS.get(sku["tier"], "?")):
            raise bad("InvalidParameterValue", f"The sku '{sku['name']}' is not of the tier '{sku['tier']}'.", "sku")
        if size is not None and size not in SIZES:
            raise bad("InvalidParameterValue", f"Storage of {size} GB is not one of the sizes {sorted(SIZES)}.")
        if put.old is not None:
            _check_growth(put.old.properties, properties)

    def _prepare_new(self, put: Put) -> None:
        properties = put.properties
        for name in ("administratorLogin", "administratorLoginPassword", "version", "storage"):
            if not properties.get(name):
                raise bad("MissingRequiredParameter", f"The property '{name}' is required to create a server.", name)
        if "sku" not in put.body:
            raise bad("MissingRequiredParameter", "The property 'sku' is required to create a server.", "sku")
        login = properties["administratorLogin"]
        if login.lower() in RESERVED or login.lower().startswith("pg_") or not re.match(r"^[a-zA-Z_]\w{0,62}$", login):
            raise bad("InvalidParameterValue", f"'{login}' cannot be the administrator's name.", "administratorLogin")
        network = properties.get("network") or {}
        subnet = network.get("delegatedSubnetResourceId")
        if subnet is not None:
            self.arm.networks.require_delegated(subnet, "Microsoft.DBforPostgreSQL/flexibleServers")
            if not network.get("privateDnsZoneArmResourceId"):
                raise bad("InvalidParameterValue", "A server in a virtual network needs a private DNS zone.")

    def fill(self, resource: Resource) -> None:
        properties, private = resource.properties, resource.private
        private.setdefault("host", addresses.fresh(5432))
        private.setdefault("created", stamp())
        size = properties["storage"]["storageSizeGB"]
        tier, iops = IOPS.get(size, ("P30", 5000))
        filled(properties["storage"], type="", autoGrow="Disabled", iops=iops, tier=tier)
        filled(properties, network={}, authConfig={}, backup={}, highAvailability={}, dataEncryption={},
               availabilityZone="3", maintenanceWindow={})
        filled(properties["network"], publicNetworkAccess=(
            "Disabled" if properties["network"].get("delegatedSubnetResourceId") else "Enabled"))
        filled(properties["authConfig"], activeDirectoryAuth="Disabled", passwordAuth="Enabled")
        filled(properties["backup"], backupRetentionDays=7, geoRedundantBackup="Disabled")
        filled(properties["highAvailability"], mode="Disabled")
        filled(properties["dataEncryption"], type="SystemManaged")
        filled(properties["maintenanceWindow"], customWindow="Disabled", dayOfWeek=0, startHour=0, startMinute=0)

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        running = resource.operation
        state = {None: "Ready", "create": "Provisioning", "update": "Updating", "delete": "Dropping"}[
            running.kind if running else None]
        properties = body["properties"]
        properties |= {
            "state": state, "fullyQualifiedDomainName": resource.private["host"], "minorVersion": "1",
            "replicationRole": "Primary", "replicaCapacity": 5, "replica": {"role": "Primary", "capacity": 5},
            "privateEndpointConnections": self.arm.networks.connections_to(resource.id),
        }
        properties["highAvailability"]["state"] = "NotEnabled"
        properties["backup"]["earliestRestoreDate"] = datetime.now(UTC).isoformat()
        return body | {"systemData": {"createdAt": resource.private["created"]}}

    def work(self, resource: Resource, old: Mapping[str, Any] | None) -> Callable[[], Any] | None:
        if not self.arm.real:
            return None
        properties = resource.properties
        login, password = properties["administratorLogin"], str(properties.get("administratorLoginPassword") or "")
        cluster = resource.private.get("cluster")
        if cluster is None:
            cluster = resource.private["cluster"] = Cluster(self.arm, resource.private["host"], resource.id)
            return lambda: cluster.start(login, password)
        before = (old or {}).get("properties", {}).get("administratorLoginPassword")
        return (lambda: cluster.set_password(login, password)) if password and password != before else None

    def finished(self, resource: Resource) -> None:
        if self.state.get(f"{resource.id}/databases/postgres") is None:
            kind = self.arm.types.by_name[Databases.type.lower()]
            for name in SYSTEM:
                body = {"properties": {"charset": "UTF8", "collation": "en_US.utf8"}}
                self.state.resources[f"{resource.id}/databases/{name}".lower()] = Resource(
                    f"{resource.id}/databases/{name}", kind, name, body, 0.0)

    def removed(self, resource: Resource) -> None:
        cluster = resource.private.pop("cluster", None)
        if cluster is not None:
            cluster.stop()


def _check_password(password: str) -> None:
    groups = sum(bool(re.search(group, password)) for group in ("[a-z]", "[A-Z]", "[0-9]", r"[^a-zA-Z0-9]"))
    if not 8 <= len(password) <= 128 or groups < 3:
        raise bad("PasswordNotComplex", "The password must be 8 to 128 characters of three of these: upper case, lower "
                  "case, digits, others.", "administratorLoginPassword")


def _check_growth(old: dict[str, Any], new: dict[str, Any]) -> None:
    before, after = value_at(old, "storage.storageSizeGB"), value_at(new, "storage.storageSizeGB")
    if after is not None and before is not None and after < before:
        raise bad("StorageSizeDecreaseNotAllowed", f"Storage cannot shrink from {before} to {after} GB.", "storage")
    version = new.get("version")
    if version is not None and int(version) < int(old["version"]):
        raise bad("VersionDowngradeNotAllowed", f"Version {old['version']} cannot become {version}.", "version")


class _Child(ResourceType):
    style = delete_style = ASYNC_202
    version = VERSION
    retry_after = 10.0
    seconds = update_seconds = delete_seconds = 15.0
    operations_path = "azureAsyncOperation"
    busy = "ServerIsBusy"
    shows_state = False

    def _write(self, put: Put) -> Answer:
        self._refuse_busy(self._server(put.target.id))
        return super()._write(put)

    def _server(self, child_id: str) -> Resource:
        found = self.state.get(child_id.rsplit("/", 2)[0])
        assert found is not None
        return found

    def _cluster(self, resource: Resource) -> Cluster | None:
        found = self.state.get(resource.id.rsplit("/", 2)[0])
        return found.private.get("cluster") if found is not None else None


class Databases(_Child):
    type = "Microsoft.DBforPostgreSQL/flexibleServers/databases"
    upsert_name = "UpsertServerDatabaseManagementOperation"
    immutable = ("properties.charset", "properties.collation")

    def fill(self, resource: Resource) -> None:
        filled(resource.properties, charset="UTF8", collation="en_US.utf8")

    def work(self, resource: Resource, old: Mapping[str, Any] | None) -> Callable[[], Any] | None:
        cluster = self._cluster(resource)
        return None if cluster is None or old is not None else lambda: cluster.create_database(resource.name)

    def may_delete(self, resource: Resource) -> None:
        if resource.name in SYSTEM:
            raise bad("SystemDatabaseCannotBeDropped", f"'{resource.name}' is the server's own.")

    def removed(self, resource: Resource) -> None:
        cluster = self._cluster(resource)
        if cluster is not None and resource.name not in SYSTEM:
            cluster.drop_database(resource.name)


class FirewallRules(_Child):
    type = "Microsoft.DBforPostgreSQL/flexibleServers/firewallRules"
    upsert_name = "UpsertServerFirewallRulesManagementOperation"

    def prepare(self, put: Put) -> None:
        try:
            start, end = (ip_address(put.properties[name]) for name in ("startIpAddress", "endIpAddress"))
        except ValueError as error:
            raise bad("InvalidParameterValue", str(error)) from None
        if int(start) > int(end):
            raise bad("InvalidParameterValue", "The end of the range is before its start.", "endIpAddress")
        if self._server(put.target.id).properties["network"].get("delegatedSubnetResourceId"):
            raise bad("FirewallRulesNotSupported", "A server in a virtual network takes no firewall rules.")


class Configurations(_Child):
    """Parameters exist with the server; a PUT sets one, a DELETE is none."""

    type = "Microsoft.DBforPostgreSQL/flexibleServers/configurations"
    upsert_name = "UpdateServerParametersManagementOperation"

    def put(self, target: Target, request: Request) -> Answer:
        body = self.check(request.json())
        resource = self._known(target)
        self._refuse_busy(self._server(resource.id))
        self._refuse_busy(resource)
        self.arm.locks.refuse_write(resource.id)
        put = Put(request, target, body, resource)
        if put.properties.get("source") not in ("user-override", "system-default", None):
            raise bad("InvalidParameterValue", "The source must be user-override.", "source")
        self.state.resources[resource.id.lower()] = resource
        return self._write(put)

    def patch(self, target: Target, request: Request) -> Answer:
        return self.put(target, request)

    def require(self, target: Target) -> Resource:
        return self._known(target)

    def list(self, target: Target) -> Answer:
        found = [self.shown(self._known(Target(target.scope, target.namespace, (*target.types, "configurations"),
                                               (*target.names, name)))) for name in sorted(PARAMETERS)]
        return Answer(200, {"value": found})

    def delete(self, target: Target, request: Request) -> Answer:
        raise ArmError(405, "MethodNotAllowed", "A parameter cannot be deleted.")

    def _known(self, target: Target) -> Resource:
        server = self.state.get(target.parent)
        if server is None:
            raise ArmError(404, "ParentResourceNotFound", f"'{target.parent}' could not be found.")
        name = target.names[-1]
        if name not in PARAMETERS:
            raise ArmError(404, "ConfigurationNotExists", f"The configuration '{name}' does not exist.")
        found = self.state.get(target.id)
        return found or Resource(target.id, self, name, {"properties": {}}, 0.0)

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        default, kind, dynamic = PARAMETERS[resource.name]
        value = body["properties"].get("value", default)
        body["properties"] = {"value": value, "defaultValue": default, "dataType": kind, "allowedValues": "",
                              "source": "system-default" if value == default else "user-override",
                              "isDynamicConfig": dynamic, "isReadOnly": False,
                              "isConfigPendingRestart": not dynamic and value != default}
        return body

    def work(self, resource: Resource, old: Mapping[str, Any] | None) -> Callable[[], Any] | None:
        cluster, value = self._cluster(resource), resource.properties.get("value")
        plain = "." not in resource.name and PARAMETERS[resource.name][2]
        return (lambda: cluster.set_parameter(resource.name, value)) if cluster and plain and value else None
