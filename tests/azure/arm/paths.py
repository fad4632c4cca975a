"""Resource ids and request paths, taken apart. Ids are compared in lower case and kept as they were first written."""

from __future__ import annotations

from dataclasses import dataclass

LOCATIONS = {"West US 2", "UK South", "Korea Central", "East US", "West Europe", "North Europe", "Germany West Central"}
_BY_NAME = {place.replace(" ", "").lower(): place for place in LOCATIONS}


@dataclass(frozen=True)
class Target:
    """What a path names: `type` with its namespace, `names` one a segment; `tail` is a list's or action's last word."""

    scope: str
    namespace: str
    types: tuple[str, ...]
    names: tuple[str, ...]
    tail: str = ""

    @property
    def type(self) -> str:
        return "/".join((self.namespace, *self.types))

    @property
    def id(self) -> str:
        pairs = "".join(f"/{kind}/{name}" for kind, name in zip(self.types, self.names, strict=True))
        return f"{self.scope}/providers/{self.namespace}{pairs}"

    @property
    def parent(self) -> str:
        """The id of what must exist already; a scope for a top-level resource."""
        return self.id.rsplit("/", 2)[0] if len(self.types) > 1 else self.scope


def parse(path: str) -> Target | None:
    """A path with `/providers/NAMESPACE/…`, or None. The last provider counts: what is before it is the scope."""
    at = path.lower().rfind("/providers/")
    if at < 0:
        return None
    scope, rest = path[:at], [part for part in path[at + len("/providers/"):].split("/") if part]
    if len(rest) < 2:
        return None
    namespace, segments = rest[0], rest[1:]
    tail = segments.pop() if len(segments) % 2 else ""
    return Target(scope, namespace, tuple(segments[0::2]), tuple(segments[1::2]), tail)


def group_of(resource_id: str) -> str | None:
    """The resource group's name in an id, or None."""
    parts = resource_id.split("/")
    return parts[4] if len(parts) > 4 and parts[3].lower() == "resourcegroups" else None


def display(location: str) -> str:
    """`westus2` as `West US 2`; KeyError where there is no such region."""
    return _BY_NAME[location.replace(" ", "").lower()]


def same_place(one: str, other: str) -> bool:
    return one.replace(" ", "").lower() == other.replace(" ", "").lower()
