"""What apps and jobs have in common: their environment, identity, registry, secrets and the resources of containers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.azure.arm.authority import Principal
from tests.azure.arm.errors import ArmError, bad
from tests.azure.arm.paths import same_place

if TYPE_CHECKING:
    from tests.azure.arm.resource import Put, ResourceType
    from tests.azure.arm.server import ArmServer

CPUS = [n / 4 for n in range(1, 17)]


def environment_of(body: dict[str, Any]) -> str:
    """The id of an app's or job's environment, in lower case."""
    properties = body.get("properties") or {}
    return str(properties.get("environmentId") or properties.get("managedEnvironmentId") or "").lower()


def workspace_of(arm: ArmServer, body: dict[str, Any]) -> str:
    """The customer id of the workspace that the environment of an app or job writes its logs to, or ""."""
    with arm.state.lock:
        found = arm.state.get(environment_of(body))
    logs = (found.properties.get("appLogsConfiguration") or {}) if found is not None else {}
    return str((logs.get("logAnalyticsConfiguration") or {}).get("customerId") or "").lower()


def check_host(kind: ResourceType, put: Put) -> None:
    """The environment is there, ready and in the same place."""
    found = kind.state.get(environment_of(put.body))
    if found is None:
        raise bad("ManagedEnvironmentNotFound", f"The environment '{environment_of(put.body)}' does not exist.")
    if found.state != "Succeeded":
        raise ArmError(409, "ManagedEnvironmentNotProvisioned", f"The environment '{found.name}' is not ready: "
                       f"{found.state}.")
    if not same_place(found.body["location"], put.body["location"]):
        raise bad("InvalidRequestParameterWithDetails", "An app is where its environment is.", "location")


def check_template(properties: dict[str, Any]) -> None:
    """400 for what Container Apps refuses of containers, secrets and their references."""
    configuration, template = properties.get("configuration") or {}, properties.get("template") or {}
    known = set()
    for secret in configuration.get("secrets") or []:
        name = secret.get("name") or ""
        if not re.match(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", name):
            raise bad("ContainerAppSecretInvalid", f"Invalid secret name '{name}': lower-case letters, digits and '-'.")
        if bool(secret.get("value")) == bool(secret.get("keyVaultUrl")):
            raise bad("ContainerAppSecretInvalid", f"The secret '{name}' wants a value or a keyVaultUrl.")
        if secret.get("keyVaultUrl") and not secret.get("identity"):
            raise bad("ContainerAppSecretInvalid", f"The secret '{name}' wants an identity for its keyVaultUrl.")
        known.add(name)
    if not template.get("containers"):
        raise bad("ContainerAppContainersRequired", "A template has at least one container.")
    for container in template["containers"]:
        _check_container(container, known)
    for rule in (template.get("scale") or {}).get("rules") or []:
        body = rule.get("custom") or rule.get("http") or {}
        for auth in body.get("auth") or []:
            _known(auth.get("secretRef"), known)


def _check_container(container: dict[str, Any], known: set[str]) -> None:
    if not container.get("image") or not container.get("name"):
        raise bad("ContainerAppImageRequired", "A container has a name and an image.")
    resources = container.get("resources") or {"cpu": 0.5, "memory": "1Gi"}
    if resources["cpu"] not in CPUS or resources["memory"] not in (f"{resources['cpu'] * 2:g}Gi",
                                                                   f"{resources['cpu'] * 2:.1f}Gi"):
        raise bad("ContainerAppInvalidResourceTotal", f"cpu {resources['cpu']} and memory {resources['memory']} are no "
                  "allowed pair: memory is twice the cpu in Gi.")
    for item in container.get("env") or []:
        if "value" in item and item.get("secretRef"):
            raise bad("ContainerAppInvalidEnvVar", f"'{item.get('name')}' has a value and a secretRef.")
        _known(item.get("secretRef"), known)


def _known(reference: str | None, known: set[str]) -> None:
    if reference and reference not in known:
        raise bad("ContainerAppSecretRefNotFound", f"SecretRef '{reference}' defined for container is not found.")


def identities(arm: ArmServer, body: dict[str, Any]) -> dict[str, Principal]:
    """The user-assigned identities of an app by id in lower case; 400 where one is not there."""
    named = (body.get("identity") or {}).get("userAssignedIdentities") or {}
    return {key.lower(): arm.identities.principal(key) for key in named}


def shown_identity(arm: ArmServer, identity: dict[str, Any]) -> dict[str, Any]:
    """With the principals of the identities, as a GET shows them."""
    named = identity.get("userAssignedIdentities") or {}
    shown = {}
    for key in named:
        who = arm.identities.principal(key)
        shown[key] = {"principalId": who.object_id, "clientId": who.client_id}
    return {**identity, **({"userAssignedIdentities": shown} if shown else {})}


def secret_values(arm: ArmServer, body: dict[str, Any]) -> dict[str, str]:
    """Every secret's value, those of a vault read as the app's identity; refused as the platform does."""
    with arm.state.lock:
        assigned = identities(arm, body)
        vaults = {urlsplit(r.private["plane"].url).netloc: r.private["plane"]
                  for r in arm.state.of_type("Microsoft.KeyVault/vaults")}
    found = {}
    for secret in (body["properties"].get("configuration") or {}).get("secrets") or []:
        if not secret.get("keyVaultUrl"):
            found[secret["name"]] = secret["value"]
            continue
        parts = urlsplit(secret["keyVaultUrl"])
        who, plane = assigned.get(secret["identity"].lower()), vaults.get(parts.netloc)
        _, _, name, *version = [*parts.path.split("/"), ""][:4]
        if who is None or plane is None:
            raise bad("ContainerAppSecretKeyVaultUrlInvalid", f"Unable to get value using Managed identity "
                      f"{secret['identity']} for secret {secret['name']}.")
        try:
            found[secret["name"]] = plane.value(who, name, version[0] if version else "")
        except ArmError as refusal:
            raise bad("ContainerAppSecretKeyVaultUrlInvalid", f"Unable to get value using Managed identity "
                      f"{secret['identity']} for secret {secret['name']}. Error: {refusal.code}.") from None
    return found


def check_pull(arm: ArmServer, body: dict[str, Any]) -> None:
    """The image is a digest that its registry has, and who pulls it may."""
    configuration = body["properties"].get("configuration") or {}
    for container in body["properties"]["template"]["containers"]:
        image = container["image"]
        with arm.state.lock:
            registry = arm.registries.has(image)
            if registry is None:
                raise bad("InvalidParameterValueInContainerTemplate", "The following field(s) are either invalid or "
                          f"missing. Field 'template.containers.{container['name']}.image' is invalid with details: "
                          f"'Invalid value: \"{image}\": MANIFEST_UNKNOWN: manifest unknown'.")
            if registry.properties["publicNetworkAccess"].lower() == "disabled" and \
                    not arm.networks.endpoints_of(registry.id):
                raise bad("InvalidParameterValueInContainerTemplate", f"Invalid value: \"{image}\": DENIED: client is "
                          "not allowed access: no private endpoint leads to the registry.")
            login: dict[str, Any] = next((r for r in configuration.get("registries") or []
                          if r.get("server") == registry.private["server"]), {})
            who = identities(arm, body).get(str(login.get("identity") or "").lower())
            by_identity = who is not None and arm.assignments.allows(who, {"AcrPull", "AcrPush"}, registry.id)
            secrets = {s["name"]: s.get("value") for s in configuration.get("secrets") or []}
            password = secrets.get(login.get("passwordSecretRef") or "")
            by_password = registry.properties["adminUserEnabled"] and password in registry.private["passwords"]
        if not by_identity and not by_password:
            raise bad("InvalidParameterValueInContainerTemplate", "Field "
                      f"'template.containers.{container['name']}.image' is invalid with details: 'Invalid value: "
                      f"\"{image}\": UNAUTHORIZED: authentication required'.")
