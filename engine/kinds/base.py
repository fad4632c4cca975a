"""What a kind of step is, and how the kinds are found.

A kind turns the manifest into steps, reads their live state, decides (purely) what a difference asks for, and carries
one change out. It knows capabilities and never a concrete provider. Each kind is one module in this package with an
object named KIND; nothing else names it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import engine.kinds
from engine.discovery import module_names
from engine.model.address import Address
from engine.model.change import Action, Change, Decision, Reason
from engine.model.diagnostic import Diagnostic, Refused, error
from engine.model.manifest import Manifest
from engine.model.observation import Observation
from engine.model.step import Step
from engine.model.value import Attributes, digest
from engine.providers.base import (
    AppHost,
    Broker,
    Capabilities,
    Context,
    Database,
    Doctor,
    ImageBuilder,
    JobRunner,
    Metrics,
    SecretStore,
)

T = TypeVar("T")


class Kind(Protocol):
    """One kind of step."""

    @property
    def name(self) -> str:
        """The first part of its steps' addresses."""

    @property
    def proves(self) -> bool:
        """Whether its steps prove what they depend on: they run again when that changes."""

    @property
    def reads_by(self) -> tuple[str, ...]:
        """The keys of a spec that say which live thing is observed: with other values there, an earlier observation
        says nothing of the step."""

    @property
    def ready_seconds(self) -> float:
        """How long a step may take to serve after it was applied."""

    def steps(self, manifest: Manifest) -> Iterable[Step]:
        """The steps that the manifest asks for; may read files that the manifest names, and nothing else."""

    def observe(self, step: Step, capabilities: Capabilities) -> Observation:
        """The step's live state; reads only."""

    def decide(self, step: Step, seen: Observation, upstream: Mapping[Address, Action]) -> Decision:
        """What `seen` asks for; pure. `upstream` holds the actions of the step's direct dependencies."""

    def decide_delete(self, seen: Observation) -> Decision:
        """What removing the step asks for; pure."""

    def apply(self, change: Change, capabilities: Capabilities, context: Context) -> Attributes:
        """Carry the change out, from any half-done state; the result's figures are shown and kept."""

    def ready(self, change: Change, capabilities: Capabilities) -> str | None:
        """None where the applied change serves; else what it still waits for."""


@runtime_checkable
class Bound(Protocol):
    """A kind whose steps are made of what is in the place where they are planned (code, revisions), and can be carried
    out only where that is the same."""

    def moved(self, change: Change) -> Diagnostic | None:
        """What is otherwise here than the change was planned for, or None."""


def discover() -> dict[str, Kind]:
    """All kinds of this package by name."""
    found: dict[str, Kind] = {}
    for name in module_names(engine.kinds.__path__):
        kind = getattr(importlib.import_module(f"engine.kinds.{name}"), "KIND", None)
        if kind is not None:
            found[kind.name] = kind
    return found


@dataclass(frozen=True, slots=True)
class Needs:
    """Capabilities with the certainty that they are there: a missing one is a diagnostic, not an AttributeError."""

    capabilities: Capabilities

    def _need(self, value: T | None, what: str) -> T:
        if value is None:
            raise Refused([error("no-capability", f"This target offers no {what}.",
                                 mend="Choose another target, or leave out the steps that need it.")])
        return value

    @property
    def secrets(self) -> SecretStore:
        """The vault."""
        return self._need(self.capabilities.secrets, "secret store")

    @property
    def database(self) -> Database:
        """The database."""
        return self._need(self.capabilities.database, "database")

    @property
    def broker(self) -> Broker:
        """The broker."""
        return self._need(self.capabilities.broker, "broker")

    @property
    def apps(self) -> AppHost:
        """The app host."""
        return self._need(self.capabilities.apps, "app host")

    @property
    def jobs(self) -> JobRunner:
        """The job runner."""
        return self._need(self.capabilities.jobs, "job runner")

    @property
    def doctor(self) -> Doctor:
        """The doctor."""
        return self._need(self.capabilities.doctor, "doctor")

    @property
    def images(self) -> ImageBuilder:
        """The image builder."""
        return self._need(self.capabilities.images, "images: its apps run from this checkout")

    @property
    def metrics(self) -> Metrics:
        """The metrics."""
        return self._need(self.capabilities.metrics, "metrics")


NOTHING_TO_REMOVE = Decision(Action.NOOP, (Reason("absent", "There is nothing to remove."),))


def goes_with(container: str) -> Callable[[Observation], Decision]:
    """The delete decision of steps whose state lives in `container` and is gone with it."""

    def decide(seen: Observation) -> Decision:
        if not seen.exists:
            return NOTHING_TO_REMOVE
        return Decision(Action.NOOP, (Reason("contained", f"It lives in {container} and is gone with it."),))

    return decide


def changing(upstream: Mapping[Address, Action]) -> list[Address]:
    """The dependencies that a plan changes, sorted."""
    return sorted(a for a, action in upstream.items() if action is not Action.NOOP)


def because_upstream(upstream: Mapping[Address, Action], what: str) -> tuple[Reason, ...]:
    """The dependencies that change, in one reason; none where none does. `because_of` is the first of them."""
    found = changing(upstream)
    if not found:
        return ()
    listed = ", ".join(f"{address} will {_verb(upstream[address])}" for address in found[:2])
    more = f" and {len(found) - 2} more" if len(found) > 2 else ""
    return (Reason("dependency", f"{what}: {listed}{more}.", because_of=found[0]),)


def _verb(action: Action) -> str:
    return {Action.RUN: "run", Action.WAIT: "be decided when it can be read"}.get(action, f"be {action.value}d")


def unreadable(address: Address, why: str) -> Observation:
    """An observation that could not be made because its server is down."""
    return Observation(address, exists=True, unreadable=why)


def short_digest(value: Attributes) -> str:
    """The first 12 hexadecimal digits of a digest: enough to tell revisions apart by eye."""
    return digest(value)[:12]
