"""What is around an environment's resources: the group's list, locks, deny assignments, the platform's mark.

Owns: lists that are read once for a moment and shared by all steps. Must not: judge; guardrails do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from engine.model.diagnostic import Refused
from engine.providers.azure.arm import Arm
from engine.providers.azure.site import Site
from engine.providers.base import Foreign

RESOURCES = "2025-04-01"
LOCKS = "2020-05-01"
DENIALS = "2022-04-01"
_FRESH_S = 3.0
_OWNED = ("env", "owner", "project")

T = TypeVar("T")


class Survey:
    """One environment's surroundings."""

    def __init__(self, arm: Arm, site: Site) -> None:
        self._arm, self._site = arm, site
        self._kept: dict[str, tuple[float, Any]] = {}
        self._guards = {key: threading.Lock() for key in ("resources", "locks", "denials")}

    def resources(self) -> list[dict[str, Any]]:
        """All resources of the group: id, name, type, tags; no properties."""
        return self._once("resources", lambda: self._arm.list(f"{self._site.group}/resources", RESOURCES))

    def names(self, kind: str) -> Sequence[str]:
        """Names of the resources of an ARM type that carry the environment's tags, sorted."""
        mine = self._site.environment.tags
        return sorted(str(r["name"]) for r in self.resources() if str(r.get("type", "")).lower() == kind.lower()
                      and all((r.get("tags") or {}).get(key) == mine.get(key) for key in _OWNED))

    def guarded(self, id: str) -> Sequence[Foreign] | None:
        """What keeps `id` from being deleted; None where nobody may look."""
        try:
            locks, denials = self._locks(), self._denials()
        except Refused:
            return None
        found = [Foreign(f"lock {lock.get('name')} ({lock.get('properties', {}).get('level')})", "locked")
                 for lock in locks if _covers(_scope(lock), id)]
        found += [Foreign(f"deny assignment {d.get('properties', {}).get('denyAssignmentName') or d.get('name')}",
                          "platform-managed")
                  for d in denials if _covers(str(d.get("properties", {}).get("scope", "")), id)]
        return found

    def strangers(self) -> Sequence[Foreign]:
        """Resources of the group that are tagged otherwise."""
        mine = self._site.environment.tags
        return [Foreign(f"{r.get('type')} {r.get('name')}", "foreign") for r in self.resources()
                if any((r.get("tags") or {}).get(key) != mine.get(key) for key in _OWNED)
                and not _made_by_azure(r)]

    def _locks(self) -> list[dict[str, Any]]:
        return self._once("locks", lambda: self._arm.list(
            f"{self._site.group}/providers/Microsoft.Authorization/locks", LOCKS))

    def _denials(self) -> list[dict[str, Any]]:
        return self._once("denials", lambda: self._arm.list(
            f"{self._site.group}/providers/Microsoft.Authorization/denyAssignments", DENIALS))

    def _once(self, key: str, read: Callable[[], T]) -> T:
        with self._guards[key]:
            at, value = self._kept.get(key, (-_FRESH_S, None))
            if time.monotonic() - at < _FRESH_S:
                kept: T = value
                return kept
            found = read()
            self._kept[key] = (time.monotonic(), found)
            return found


def _scope(lock: dict[str, Any]) -> str:
    return str(lock.get("id", "")).partition("/providers/Microsoft.Authorization/")[0]


def _covers(scope: str, id: str) -> bool:
    scope, id = scope.rstrip("/").lower(), id.lower()
    return id == scope or id.startswith(scope + "/")


def _made_by_azure(resource: dict[str, Any]) -> bool:
    """What Azure makes beside a resource and removes with it: no tags of ours can be on it."""
    return str(resource.get("type", "")).lower() in (
        "microsoft.insights/actiongroups", "microsoft.alertsmanagement/smartdetectoralertrules",
        "microsoft.network/networkinterfaces")
