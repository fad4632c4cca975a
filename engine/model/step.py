"""Steps and the graph that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.model.address import Address, Position
from engine.model.value import Attributes


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that shall be so. `spec` is all that apply needs: complete, serialisable, without secrets."""

    address: Address
    spec: Attributes
    depends_on: frozenset[Address] = field(default_factory=frozenset)
    lives_in: frozenset[Address] = field(default_factory=frozenset)
    """The dependencies that hold this step's state: gone when one of them is replaced."""
    source: Position | None = None
    positions: Mapping[str, Position] = field(default_factory=dict)
    """Where each top-level key of `spec` was declared, for the reasons of a change."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Who an environment is: what a provider needs to find it, and nothing of what it shall be."""

    name: str
    target: str
    project: str
    team: str
    owner: str
    env: str
    tags: Mapping[str, str]
    short: str
    env_short: str
    access: str = "public"
    """Who reaches it: `public` or `private`, where every connection is encrypted (P3.2)."""
    site: Attributes = field(default_factory=dict)
    """Where the target is (subscription, region, endpoints); nothing for this machine. Holds no secret."""
