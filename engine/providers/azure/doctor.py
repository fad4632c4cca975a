"""Looks, before anything is made, at what would keep an apply on Azure from working.

Owns: the questions and the least that is needed. Must not: change anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from http.client import HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from engine.model.diagnostic import Refused
from engine.providers.azure.arm import Arm
from engine.providers.azure.credentials import Credential
from engine.providers.azure.site import Site
from engine.providers.base import Finding

NEEDED = (
    "Microsoft.App", "Microsoft.Authorization", "Microsoft.ContainerRegistry", "Microsoft.DBforPostgreSQL",
    "Microsoft.EventHub", "Microsoft.Insights", "Microsoft.KeyVault", "Microsoft.ManagedIdentity",
    "Microsoft.OperationalInsights")
"""The resource providers of an environment."""

RIGHTS = (
    "Microsoft.Resources/subscriptions/resourceGroups/write", "Microsoft.Authorization/roleAssignments/write",
    "Microsoft.KeyVault/vaults/write", "Microsoft.DBforPostgreSQL/flexibleServers/write",
    "Microsoft.EventHub/namespaces/write", "Microsoft.EventHub/namespaces/authorizationRules/listKeys/action",
    "Microsoft.ContainerRegistry/registries/write", "Microsoft.ContainerRegistry/registries/scheduleRun/action",
    "Microsoft.App/managedEnvironments/write", "Microsoft.App/containerApps/write", "Microsoft.App/jobs/write",
    "Microsoft.App/jobs/start/action", "Microsoft.ManagedIdentity/userAssignedIdentities/write",
    "Microsoft.OperationalInsights/workspaces/write", "Microsoft.OperationalInsights/workspaces/sharedKeys/action",
    "Microsoft.Insights/components/write")
"""One right a thing that an apply does; reading and deleting come with the same roles."""

PRIVATE_NEEDED = ("Microsoft.Network",)
PRIVATE_RIGHTS = ("Microsoft.Network/virtualNetworks/write", "Microsoft.Network/virtualNetworks/subnets/join/action",
                  "Microsoft.Network/privateEndpoints/write", "Microsoft.Network/privateDnsZones/write")
"""What a private environment needs beside them."""

_PROVIDERS, _PERMISSIONS = "2021-04-01", "2022-04-01"
_SKEW_S = 120.0


class AzureDoctor:
    """A Doctor."""

    def __init__(self, arm: Arm, site: Site, credential: Credential) -> None:
        self._arm, self._site, self._credential = arm, site, credential

    def look(self) -> Iterator[Finding]:
        """Credential, clock, subscription, providers, rights, and what is in the way in the group."""
        try:
            used, who = self._credential.used, self._credential.principal()
        except Refused as refused:
            problem = refused.diagnostics[0]
            yield Finding("error", "credential", f"{problem.summary}\n{problem.detail}", problem.mend)
            return
        yield Finding("ok", "credential", f"{used}: {who.type} {who.name} ({who.id})")
        yield self._clock()
        for ask in (self._providers, self._rights, self._guards):
            try:
                yield from ask()
            except Refused as refused:
                problem = refused.diagnostics[0]
                yield Finding("error", ask.__name__.strip("_"), f"{problem.summary} {problem.detail}", problem.mend)

    def _clock(self) -> Finding:
        address = urlsplit(self._site.cloud.arm)
        asked = HTTPSConnection(str(address.hostname), address.port or 443, timeout=10, context=self._site.tls())
        try:
            asked.request("HEAD", "/")
            stamp = asked.getresponse().getheader("Date")
        except (OSError, HTTPException) as problem:
            return Finding("error", "endpoint", f"{self._site.cloud.arm} does not answer: {problem}",
                           "See that this machine reaches it.")
        finally:
            asked.close()
        if stamp is None:
            return Finding("warning", "clock", "Azure's clock cannot be read")
        off = (datetime.now(UTC) - parsedate_to_datetime(stamp)).total_seconds()
        if abs(off) > _SKEW_S:
            return Finding("error", "clock", f"this machine's clock is {off:+.0f} s off",
                           "Set it: tokens are refused otherwise.")
        return Finding("ok", "clock", f"within {_SKEW_S:.0f} s of Azure's")

    def _providers(self) -> Iterator[Finding]:
        known = {str(p["namespace"]).lower(): str(p.get("registrationState")) for p in self._arm.list(
            f"/subscriptions/{self._site.subscription}/providers", _PROVIDERS)}
        needed = (*NEEDED, *(PRIVATE_NEEDED if self._site.private else ()))
        missing = [name for name in needed if known.get(name.lower()) != "Registered"
                   and name != "Microsoft.Authorization"]
        if missing:
            yield Finding("error", "providers", f"not registered: {', '.join(missing)}",
                          " && ".join(f"az provider register --namespace {name}" for name in missing))
        else:
            yield Finding("ok", "providers", f"all {len(needed)} are registered")

    def _rights(self) -> Iterator[Finding]:
        where = f"/subscriptions/{self._site.subscription}"
        scope = self._site.group if self._arm.get(self._site.group, "2025-04-01") is not None else where
        held = self._arm.list(f"{scope}/providers/Microsoft.Authorization/permissions", _PERMISSIONS)
        rights = (*RIGHTS, *(PRIVATE_RIGHTS if self._site.private else ()))
        missing = [right for right in rights if not any(
            _covers(p.get("actions"), right) and not _covers(p.get("notActions"), right) for p in held)]
        if missing:
            yield Finding("error", "rights", f"missing at {scope}: {', '.join(missing)}",
                          "Ask for Contributor and Role Based Access Control Administrator there.")
        else:
            yield Finding("ok", "rights", f"all {len(rights)} that an apply needs, at {scope}")

    def _guards(self) -> Iterator[Finding]:
        group = self._arm.get(self._site.group, "2025-04-01")
        if group is None:
            yield Finding("ok", "group", f"{self._site.names['rg']} is not there yet")
        elif group.get("managedBy"):
            yield Finding("error", "group", f"{self._site.names['rg']} is managed by {group['managedBy']}",
                          "It is the platform's (P3.3): choose another owner or env.")
        else:
            yield Finding("ok", "group", f"{self._site.names['rg']} is there")


def _covers(patterns: object, right: str) -> bool:
    found = patterns if isinstance(patterns, list) else []
    return any(fnmatchcase(right.lower(), str(pattern).lower()) for pattern in found)
