"""Who txplan is on Azure: the first of environment, workload identity, managed identity and the CLI that is there.

Owns: the chain, which of it answered, and the principal behind the token. Must not: keep or show a token.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError

from engine.model.diagnostic import Refused, error
from engine.providers.azure.site import Site


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom the token speaks of. `type` is as role assignments name it."""

    id: str
    type: str
    name: str
    tenant: str


class Credential:
    """A TokenCredential: the chain's first member that gives a token is kept."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._kept: tuple[str, TokenCredential] | None = None
        self._guard = threading.Lock()
        # What the chain's members say is told as one diagnostic, and nowhere else.
        logging.getLogger("azure").addHandler(logging.NullHandler())

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token for `scopes`; Refused, with what each member said, where none gives one."""
        # One at a time: many steps begin at once, and one token serves them all.
        with self._guard:
            if self._kept is not None:
                return self._kept[1].get_token(*scopes, **options)
            return self._first(scopes, options)

    def _first(self, scopes: tuple[str, ...], options: dict[str, Any]) -> AccessToken:
        said: list[str] = []
        for name, made in self._members():
            try:
                member = made()
                token = member.get_token(*scopes, **options)
            except (AzureError, ClientAuthenticationError, ValueError) as problem:
                said.append(f"{name}: {str(problem).splitlines()[0][:200]}")
                continue
            self._kept = (name, member)
            return token
        raise Refused([error("no-credential", "Nothing here can sign in to Azure.", "\n".join(said),
                             "Run az login, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and a secret or certificate.")])

    @property
    def used(self) -> str:
        """Which member gave the token."""
        self.get_token(self._site.cloud.scope)
        assert self._kept is not None
        return self._kept[0]

    def principal(self) -> Principal:
        """Whom the resource manager will see."""
        claims = _claims(self.get_token(self._site.cloud.scope).token)
        person = bool(claims.get("upn") or claims.get("unique_name")) or claims.get("idtyp") == "user"
        return Principal(str(claims.get("oid", "")), "User" if person else "ServicePrincipal",
                         str(claims.get("upn") or claims.get("unique_name") or claims.get("appid") or "?"),
                         str(claims.get("tid") or self._site.tenant or ""))

    def _members(self) -> list[tuple[str, Callable[[], TokenCredential]]]:
        from azure.identity import (
            AzureCliCredential,
            EnvironmentCredential,
            ManagedIdentityCredential,
            WorkloadIdentityCredential,
        )

        cloud, tenant = self._site.cloud, self._site.tenant
        common: dict[str, Any] = {"authority": cloud.authority, "connection_verify": self._site.verify}
        if cloud.own:
            common["disable_instance_discovery"] = True
        found: list[tuple[str, Callable[[], TokenCredential]]] = []
        if os.environ.get("AZURE_CLIENT_ID") and (
                os.environ.get("AZURE_CLIENT_SECRET") or os.environ.get("AZURE_CLIENT_CERTIFICATE_PATH")):
            found.append(("environment", lambda: EnvironmentCredential(**common)))
        if os.environ.get("AZURE_FEDERATED_TOKEN_FILE"):
            found.append(("workload identity", lambda: WorkloadIdentityCredential(**common)))
        if os.environ.get("IDENTITY_ENDPOINT") or os.environ.get("MSI_ENDPOINT"):
            found.append(("managed identity", lambda: ManagedIdentityCredential(
                client_id=os.environ.get("AZURE_CLIENT_ID"))))
        found.append(("Azure CLI", lambda: AzureCliCredential(tenant_id=tenant or "")))
        return found


def _claims(token: str) -> Mapping[str, Any]:
    """What the token says of its bearer; it is not checked here, the resource manager does."""
    try:
        part = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
