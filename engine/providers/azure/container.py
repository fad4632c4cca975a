"""A container of the service as Container Apps takes it: command, variables, secrets, identity, registry.

Owns: what is a secret and how it gets in (by value, or by reference to the vault), and paths as the image has them.
Must not: know apps or jobs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.assets import asset
from engine.providers.azure.image import Images
from engine.providers.azure.site import Site
from engine.providers.azure.vault import KeyVault

INSIDE = "/srv/txplan"
"""Where the image has the migrations and the manifests."""

SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"
_TRUST = "trust"
_AUTHORITIES = frozenset({"SSL_CERT_FILE", "PGSSLROOTCERT", "KAFKA_SSL_CAFILE"})
_ALWAYS = {"SSL_CERT_FILE": SYSTEM_CA, "PYTHONUNBUFFERED": "1"}
_PLAIN = re.compile(r"(SOURCE_)?PG(HOST|PORT|DATABASE|USER|SSLMODE|SSLROOTCERT)|"
                    r"KAFKA_(BOOTSTRAP|SECURITY_PROTOCOL|SASL_MECHANISM|SASL_USERNAME|SSL_CAFILE)")


class Containers:
    """Makes the parts of a body that apps and jobs share."""

    def __init__(self, site: Site, images: Images, vault: KeyVault) -> None:
        self._site, self._images, self._vault = site, images, vault

    @property
    def identity(self) -> str:
        """The id of the identity under which it runs."""
        return self._site.id(f"Microsoft.ManagedIdentity/userAssignedIdentities/{self._site.names['id']}")

    def outer(self) -> dict[str, Any]:
        """Location, tags and identity."""
        return {"location": self._site.location, "tags": dict(self._site.environment.tags),
                "identity": {"type": "UserAssigned", "userAssignedIdentities": {self.identity: {}}}}

    @property
    def environment(self) -> str:
        """The id of the Container Apps environment."""
        return self._site.id(f"Microsoft.App/managedEnvironments/{self._site.names['caenv']}")

    def container(self, name: str, command: Sequence[str], plain: Mapping[str, str],
                  secrets: Mapping[str, str]) -> dict[str, Any]:
        """The container. `command` is the service's: an interpreter, then its arguments."""
        open_, closed = _split(secrets)
        variables = {k: self._trusted(k, _inside(v)) for k, v in sorted({**_ALWAYS, **plain, **open_}.items())}
        mounts = {"volumeMounts": [{"volumeName": _TRUST, "mountPath": f"/{_TRUST}"}]} if self._site.ca_file else {}
        return {**mounts,
            "name": name, "image": self._images.reference(), "command": ["python", *command[1:3]],
            "args": [_inside(argument) for argument in command[3:]],
            "env": [*({"name": k, "value": v} for k, v in variables.items()),
                    *({"name": k, "secretRef": secret_name(k)} for k in sorted(closed))],
            "resources": {"cpu": 0.5, "memory": "1Gi"}}

    def secrets(self, owner: str, secrets: Mapping[str, str]) -> list[dict[str, Any]]:
        """The secrets of `owner` (an app or a job): by value where the environment is public, else by a reference to
        the vault that the identity may read."""
        found = []
        for key, value in sorted(_split(secrets)[1].items()):
            name = secret_name(key)
            if self._site.private:
                kept = f"{owner}-{name}"
                self._vault.set(kept, value)
                found.append({"name": name, "keyVaultUrl": self._vault.versionless(kept), "identity": self.identity})
            else:
                found.append({"name": name, "value": value})
        if self._site.ca_file is not None:
            found.append({"name": _TRUST, "value": Path(self._site.ca_file).read_text(encoding="ascii")})
        return found

    def registries(self) -> list[dict[str, Any]]:
        """Where the image is pulled from, with the identity."""
        return [{"server": self._images.reference().partition("/")[0], "identity": self.identity}]

    def volumes(self) -> dict[str, Any]:
        """The manifest's own authorities as a file; nothing where the image's are trusted."""
        if self._site.ca_file is None:
            return {}
        return {"volumes": [{"name": _TRUST, "storageType": "Secret", "secrets": [
            {"secretRef": _TRUST, "path": "ca.pem"}]}]}

    def _trusted(self, name: str, value: str) -> str:
        """The image's authorities, or the manifest's own, where a variable names a file of them."""
        if name not in _AUTHORITIES:
            return value
        return SYSTEM_CA if self._site.ca_file is None else f"/{_TRUST}/ca.pem"


def secret_name(variable: str) -> str:
    """A variable as Container Apps names secrets."""
    return variable.lower().replace("_", "-")


def _split(secrets: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """(addresses and the like, what nobody may read)."""
    return ({k: v for k, v in secrets.items() if _PLAIN.fullmatch(k)},
            {k: v for k, v in secrets.items() if not _PLAIN.fullmatch(k)})


def _inside(text: str) -> str:
    """A path of this machine's assets as the image has it."""
    for name in ("manifests", "migrations"):
        text = text.replace(str(asset(name)), f"{INSIDE}/{name}")
    return text
