"""Microsoft.KeyVault: vaults, and the deleted ones, whose names stay taken. `planes/vault.py` has the secrets' API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.azure.arm.bodies import filled
from tests.azure.arm.clock import stamp
from tests.azure.arm.errors import ArmError, bad
from tests.azure.arm.paths import Target, same_place
from tests.azure.arm.planes.vault import Vault
from tests.azure.arm.resource import LOCATION_202, POLLED, Put, ResourceType
from tests.azure.arm.state import Operation, Resource
from tests.azure.arm.web import Answer, Request

VERSION = "2026-02-01"


class Vaults(ResourceType):
    type = "Microsoft.KeyVault/vaults"
    version = VERSION
    style = POLLED
    created = 200
    seconds, update_seconds = 20.0, 0.0
    busy = "ConflictError"
    global_name = (409, "VaultAlreadyExists")
    immutable = ("properties.softDeleteRetentionInDays", "properties.tenantId")
    immutable_error = (400, "BadRequest")

    def __init__(self, arm: Any) -> None:
        super().__init__(arm)
        self.deleted: dict[str, Resource] = {}

    def prepare(self, put: Put) -> None:
        properties, name = put.properties, put.target.names[-1].lower()
        if properties["tenantId"].lower() != self.arm.tenant:
            raise bad("InvalidTenantId", f"The tenant '{properties['tenantId']}' is not the subscription's.")
        if properties.get("enableSoftDelete") is False:
            raise bad("BadRequest", "The property 'enableSoftDelete' can be set to true only.", "enableSoftDelete")
        if properties.get("enablePurgeProtection") is False:
            raise bad("BadRequest", "The property 'enablePurgeProtection' cannot be set to false. Enabling the purge "
                      "protection for a vault is an irreversible action.", "enablePurgeProtection")
        if not 7 <= properties.get("softDeleteRetentionInDays", 90) <= 90:
            raise bad("BadRequest", "softDeleteRetentionInDays must be between 7 and 90.")
        recovering = properties.get("createMode", "default").lower() == "recover"
        by_policies = not recovering and not properties.get("enableRbacAuthorization")
        if by_policies and properties.get("accessPolicies") is None:
            raise bad("BadRequest", "The parameter accessPolicies is not specified.", "accessPolicies")
        kept = self.deleted.get(name)
        if put.old is None and kept is not None and not recovering:
            raise ArmError(409, "ConflictError", f"A vault with the same name already exists in deleted state. You need"
                           f" to either recover or purge existing key vault '{kept.name}'. Follow this link "
                           "https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft delete.")
        if recovering and put.old is None:
            self._check_recovery(put, kept)

    def name_is_kept(self, name: str) -> bool:
        return name.lower() in self.deleted

    def _check_recovery(self, put: Put, kept: Resource | None) -> None:
        if kept is None:
            raise ArmError(404, "DeletedVaultNotFound", f"The deleted vault '{put.target.names[-1]}' does not exist.")
        if kept.id.lower() != put.target.id.lower() or not same_place(kept.body["location"], put.body["location"]):
            raise ArmError(409, "ConflictError", f"A vault is recovered where it was: '{kept.id}'.")

    def fill(self, resource: Resource) -> None:
        properties, private = resource.properties, resource.private
        if properties.pop("createMode", "default").lower() == "recover":
            kept = self.deleted.pop(resource.name.lower(), None)
            if kept is not None:
                private |= kept.private
                resource.body["properties"] = properties = kept.properties | {
                    k: v for k, v in properties.items() if v is not None}
        # What was put is of no matter: the service says the address, and the state.
        properties.pop("vaultUri", None)
        properties.pop("provisioningState", None)
        filled(resource.body, tags={})
        filled(properties, accessPolicies=[], enabledForDeployment=False, enableSoftDelete=True,
               softDeleteRetentionInDays=private.get("days", 90), publicNetworkAccess="Enabled")
        private["days"] = properties["softDeleteRetentionInDays"]
        private.setdefault("created", stamp())
        if "plane" not in private:
            private["plane"] = Vault(self.arm, resource.id, resource.name)
        private["plane"].open()

    def work(self, resource: Resource, old: Mapping[str, Any] | None) -> Callable[[], Any] | None:
        private = resource.properties["publicNetworkAccess"].lower() == "disabled"
        resource.private["plane"].private = private
        return None

    def show(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        url = resource.private["plane"].url
        body["properties"]["vaultUri"] = url if resource.state == "Creating" else f"{url}/"
        connections = self.arm.networks.connections_to(resource.id)
        if connections:
            body["properties"]["privateEndpointConnections"] = connections
        return body | {"systemData": {"createdAt": resource.private["created"]}}

    def shown_state(self, resource: Resource) -> str:
        return "RegisteringDns" if resource.state == "Creating" else "Succeeded"

    def _refuse_busy(self, resource: Resource) -> None:
        """A vault whose name is being registered takes writes."""
        if resource.operation is not None and resource.operation.kind == "delete":
            super()._refuse_busy(resource)

    def removed(self, resource: Resource) -> None:
        plane = resource.private.get("plane")
        if plane is not None:
            plane.close()
        resource.private["deleted"] = stamp()
        self.deleted[resource.name.lower()] = resource


class DeletedVaults(ResourceType):
    """`locations/LOCATION/deletedVaults/NAME`: read, list, purge."""

    type = "Microsoft.KeyVault/locations/deletedVaults"
    version = VERSION
    delete_style = LOCATION_202
    delete_seconds = 30.0
    tracked = False

    @property
    def _deleted(self) -> dict[str, Resource]:
        kind = self.arm.types.by_name[Vaults.type.lower()]
        assert isinstance(kind, Vaults)
        return kind.deleted

    def require(self, target: Target) -> Resource:
        found = self._deleted.get(target.names[-1].lower())
        if found is None or not same_place(found.body["location"], target.names[0]):
            raise ArmError(404, "DeletedVaultNotFound", f"The specified deleted vault '{target.names[-1]}' does not "
                           "exist.")
        return Resource(target.id, self, found.name, {"properties": {}}, found.created, private={"vault": found})

    def shown(self, resource: Resource) -> dict[str, Any]:
        vault = resource.private["vault"]
        location = vault.body["location"]
        return {"id": f"{self.arm.scope}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{vault.name}",
                "name": vault.name, "type": "Microsoft.KeyVault/deletedVaults",
                "properties": {"vaultId": vault.id, "location": location, "tags": vault.body.get("tags", {}),
                               "deletionDate": vault.private["deleted"], "scheduledPurgeDate": stamp(),
                               "purgeProtectionEnabled": vault.properties.get("enablePurgeProtection", False)}}

    def list(self, target: Target) -> Answer:
        found = [Resource("", self, v.name, {}, 0.0, private={"vault": v}) for v in self._deleted.values()]
        return Answer(200, {"value": [self.shown(resource) for resource in found]})

    def action(self, resource: Resource, name: str, request: Request) -> Answer:
        if name != "purge":
            return super().action(resource, name, request)
        vault = resource.private["vault"]
        if vault.properties.get("enablePurgeProtection"):
            raise ArmError(403, "Forbidden", f"Operation 'purge' is not allowed: purge protection is enabled on "
                           f"'{vault.name}'.")
        running = Operation(f"{self.arm.scope}/providers/{self.type.replace('/deleted', '/x/deleted')}/{vault.name}",
                            "delete", self.state.clock.due(self.delete_seconds),
                            lambda: self._purged(vault), lambda: None)
        self.state.begin(running, None)
        version = request.query["api-version"]
        return Answer(202, b"", self.arm.operations.headers(running, self, self.delete_style, version))

    def _purged(self, vault: Resource) -> None:
        self._deleted.pop(vault.name.lower(), None)


class DeletedVaultList(DeletedVaults):
    """Of the whole subscription."""

    type = "Microsoft.KeyVault/deletedVaults"
