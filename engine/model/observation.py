"""What is live, as it was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.model.address import Address
from engine.model.diagnostic import Diagnostic
from engine.model.value import Attributes, digest


@dataclass(frozen=True, slots=True)
class Observation:
    """One step's live counterpart. `attributes` holds what identifies and describes it, never what merely ticks
    (counters, clocks): its digest is what binds a plan to the live environment."""

    address: Address
    exists: bool
    attributes: Attributes = field(default_factory=dict)
    notes: Attributes = field(default_factory=dict)
    """Shown to people (rows, sizes, ages), left out of the digest."""

    unreadable: str = ""
    """Why it could not be read although it may exist (its server is down); empty where it was read."""

    @property
    def digest(self) -> str:
        """Equal digests mean equal live state as far as a plan cares."""
        return digest({"exists": self.exists, "attributes": self.attributes})


@dataclass(frozen=True, slots=True)
class LiveState:
    """All observations of an environment, what it owns that no step declares, and what could not be read."""

    by_address: Mapping[Address, Observation]
    orphans: tuple[Observation, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    applied: Mapping[Address, Attributes] = field(default_factory=dict)
    """The values as the last apply left them, of the steps of which they are kept."""

    def emptied(self) -> LiveState:
        """The same environment when all of it is gone; what is known of its surroundings stays in the notes."""
        gone = {a: Observation(a, exists=False, notes=seen.notes) for a, seen in self.by_address.items()}
        return LiveState(gone)

    @property
    def digest(self) -> str:
        """Digest over the digests of all observations."""
        return digest({str(a): o.digest for a, o in self.by_address.items()}
                      | {f"orphan {o.address}": o.digest for o in self.orphans})
