"""What all resource types on Azure share: read, write, delete and look into a resource by its id.

Owns: tags, provisioning states, retries of young resources, locks and strangers. Must not: know a type's body; each
type is one file in `types`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.model.diagnostic import Refused, error
from engine.model.value import Attributes
from engine.providers.azure.arm import Arm
from engine.providers.azure.site import Site, region
from engine.providers.base import Context, Foreign, Progress, SecretStore

if TYPE_CHECKING:
    from engine.providers.azure.access import Access
    from engine.providers.azure.survey import Survey

OWN = "txplan-"
"""What the tags begin with by which txplan keeps fingerprints; they are no part of a spec."""

_SETTLED = frozenset({"", "succeeded", "active", "failed", "canceled", "cancelled", "ready", "stopped",
                      "disabled"})
_FAILED = frozenset({"failed", "canceled", "cancelled"})
_SETTLE_S = 1800.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What the types stand on; shared by all of one environment."""

    arm: Arm
    site: Site
    survey: Survey
    secrets: SecretStore
    access: Access
    identities: dict[str, str] = field(default_factory=dict)


class AzureType:
    """A ResourceType. `path` is below the group, with `{token}` for the environment's names, `{name}` for its own."""

    type = ""
    path = ""
    api = ""
    kind = ""
    """The ARM type by which a list of the group's resources shows it; empty for what lies inside another resource."""

    immutable: frozenset[str] = frozenset({"location"})
    grows: frozenset[str] = frozenset()
    """Keys whose value may be raised in place, and never lowered."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.arm, self.site = ground.arm, ground.site

    # Of each type

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """What is sent for a spec."""
        raise NotImplementedError

    def attributes(self, name: str, live: Mapping[str, Any]) -> dict[str, Any]:
        """The spec's keys as live has them, beside name, tags and location."""
        return {}

    def needs(self, name: str, live: Mapping[str, Any]) -> list[str]:
        """What apply has to mend although the spec is unchanged."""
        return []

    def after(self, name: str, spec: Attributes, context: Context) -> None:
        """What is done once it is there."""

    # For all types

    def id(self, name: str) -> str:
        """The resource's id."""
        return self.site.id(self.path.format(name=name, **self.site.names))

    def read(self, name: str) -> dict[str, Any] | None:
        """The live resource, or None."""
        return self.arm.get(self.id(name), self.api)

    def observe(self, name: str) -> Attributes | None:
        """The live values, as a spec would say them."""
        live = self.read(name)
        if live is None or state_of(live) in ("deleting", "dropping"):
            return None
        found: dict[str, Any] = {"name": _cased(live.get("name"), name)}
        if self.kind:
            found |= {"tags": plain_tags(live), "location": region(live.get("location"))}
        found |= self.attributes(name, live)
        needs = self.needs(name, live)
        if state_of(live) not in _SETTLED:
            needs.append("its operation to end")
        elif state_of(live) in _FAILED:
            needs.append("repair")
        return found | ({"needs": needs} if needs else {})

    def apply(self, name: str, spec: Attributes, context: Context) -> None:
        """Create it or bring it to the spec. What another run has begun is waited for first."""
        live = self._settled(name, context)
        body = self.body(name, spec, context)
        if self.kind:
            kept = {k: v for k, v in ((live or {}).get("tags") or {}).items() if k.startswith((OWN, "hidden-"))}
            body["tags"] = {**kept, **_mapping(spec["tags"]), **body.get("tags", {})}
            body.setdefault("location", str(spec["location"]))
        self.arm.put(self.id(name), self.api, body, context)
        self.after(name, spec, context)

    def ready(self, name: str) -> str | None:
        """None where Azure says that it is done."""
        live = self.read(name)
        if live is None:
            return "Azure to show it"
        return None if state_of(live) in _SETTLED - _FAILED else f"Azure: {state_of(live)}"

    def delete(self, name: str, context: Context) -> None:
        """Delete it; nothing to delete is no error."""
        self.arm.delete(self.id(name), self.api, context)

    def inventory(self) -> Sequence[str]:
        """Names of the group's resources of this type that carry the environment's tags."""
        return self.ground.survey.names(self.kind) if self.kind else []

    def foreign(self, name: str) -> Sequence[Foreign] | None:
        """Locks and deny assignments on it or on what holds it."""
        return self.ground.survey.guarded(self.id(name))

    def _settled(self, name: str, context: Context) -> dict[str, Any] | None:
        until = time.monotonic() + _SETTLE_S
        while (live := self.read(name)) is not None and state_of(live) not in _SETTLED:
            if context.cancelled() or time.monotonic() > until:
                raise Refused([error("still-changing", f"{name} is still being changed: {state_of(live)}.",
                                     mend="Apply again; it is waited for.")])
            context.emit(Progress(note=f"Azure: {state_of(live)}, begun by an earlier run"))
            time.sleep(1.0 if not self.site.cloud.own else 0.05)
        return live


def state_of(live: Mapping[str, Any]) -> str:
    """The provisioning state in lower case; empty where the type has none."""
    properties = live.get("properties") or {}
    return str(properties.get("provisioningState") or properties.get("state") or "").lower()


def plain_tags(live: Mapping[str, Any]) -> dict[str, str]:
    """The tags without txplan's fingerprints and the portal's links."""
    return {k: str(v) for k, v in sorted((live.get("tags") or {}).items()) if not k.startswith((OWN, "hidden-"))}


def last(id: object) -> str:
    """The name at the end of an id; empty for none."""
    return str(id or "").rstrip("/").rpartition("/")[2]


def same_name(id: object, name: str) -> str:
    """The name at the end of an id, in the casing of `name` where only that differs: Azure keeps none."""
    return _cased(last(id), name)


def _cased(live: object, name: str) -> str:
    text = last(live)
    return name if name.rpartition("/")[2].lower() == text.lower() else text


def _mapping(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
