"""The plan: pure data that people read and apply follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from graphlib import TopologicalSorter

from engine.model.address import Address
from engine.model.change import Action, Change
from engine.model.costs import Costs, Prices
from engine.model.diagnostic import Diagnostic, Severity
from engine.model.evidence import Promotion
from engine.model.step import Environment
from engine.model.verdict import DestroyLimit, Outcome, Override, Verdict

FORMAT_VERSION = 3


@dataclass(frozen=True, slots=True)
class Experience:
    """How a step went before: how long it took, and how many rows a second it read where it reads rows."""

    seconds: float
    rows_per_s: float | None


@dataclass(frozen=True, slots=True)
class Making:
    """The circumstances in which a plan is made: when, by whom, on which host, with which tool, for how long it is
    good, which guardrails' refusals its maker answers for, how its steps went before, and the price tables by
    target."""

    now: datetime
    valid_for: timedelta
    user: str
    host: str
    tool_version: str
    overrides: tuple[Override, ...] = ()
    history: Mapping[tuple[Address, Action], Experience] = field(default_factory=dict)
    prices: Mapping[str, Prices] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A step that would have done `action` and was left out: chosen so, or because it waits for `because_of`."""

    address: Address
    action: Action
    because_of: Address | None


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of the environment that a plan was asked for, what that pulled in, and what it left out."""

    only: tuple[str, ...]
    exclude: tuple[str, ...]
    pulled_in: tuple[Address, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class Store:
    """What holds data and goes with a plan (P11.3): what is in it, how that comes back and how many seconds that took
    before. `missing` says what no rebuild brings back; empty where all of it comes back."""

    address: Address
    holds: str
    how: str
    missing: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class RoadBack:
    """The way back from what a plan destroys: each store's, and how many seconds building everything anew took before,
    along the longest chain; None where it never ran here."""

    stores: tuple[Store, ...]
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is to happen, in an order that `waits_for` fixes. Two plans of the same inputs are equal."""

    format_version: int
    tool_version: str
    made_by: str
    made_on: str
    environment: Environment
    destroy: bool
    manifest_file: str
    manifest_digest: str
    live_digest: str
    created_at: datetime
    valid_until: datetime
    changes: tuple[Change, ...]
    verdicts: tuple[Verdict, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    overrides: tuple[Override, ...] = ()
    max_destroy: DestroyLimit = field(kw_only=True)
    scope: Scope | None = None
    """The part that it was asked for; None where it is the whole."""
    snapshot_at: datetime | None = None
    """When the snapshot was taken that it was made from; None where it was made from the live environment."""
    promotion: Promotion | None = None
    """The evidence of another environment that it builds on; None where it builds on none."""
    rebuild: tuple[Change, ...] = ()
    """What is built anew when all of `changes` is done; empty but for a plan that destroys and builds."""
    road_back: RoadBack | None = None
    """The way back from what it destroys; None where it destroys no store."""
    costs: Costs | None = None
    """What the environment costs; None on a target that costs nothing."""

    @property
    def pending(self) -> tuple[Change, ...]:
        """The changes that do something, in both parts."""
        return tuple(c for c in (*self.changes, *self.rebuild) if c.action is not Action.NOOP)

    @property
    def counts(self) -> Counter[Action]:
        """How many changes there are of each action, in both parts."""
        return Counter(c.action for c in (*self.changes, *self.rebuild))

    def phases(self) -> tuple[Plan, ...]:
        """The plan in its parts, each a plan with one list of changes: two where it destroys and then builds."""
        if not self.rebuild:
            return (self,)
        return (replace(self, rebuild=()),
                replace(self, destroy=False, changes=self.rebuild, rebuild=(), road_back=None))

    def waits(self) -> dict[Address, frozenset[Address]]:
        """What each pending change of `changes` waits for: the nearest pending ones, through those that do nothing."""
        by_address = {c.address: c for c in self.changes}
        nearest: dict[Address, frozenset[Address]] = {}
        order = TopologicalSorter({c.address: [a for a in c.waits_for if a in by_address] for c in self.changes})
        for address in order.static_order():
            found: set[Address] = set()
            for dependency in by_address[address].waits_for:
                if dependency in by_address:
                    idle = by_address[dependency].action is Action.NOOP
                    found |= nearest[dependency] if idle else {dependency}
            nearest[address] = frozenset(found)
        return {c.address: nearest[c.address] for c in self.changes if c.action is not Action.NOOP}

    def expected(self) -> tuple[float, int]:
        """How long an apply takes by experience, in seconds along the longest chain, and of how many pending steps
        there is none."""
        if self.rebuild:
            parts = [phase.expected() for phase in self.phases()]
            return sum(seconds for seconds, _ in parts), sum(unknown for _, unknown in parts)
        pending = self.pending
        unknown = sum(c.expected_s is None for c in pending)
        if unknown == len(pending):
            return 0.0, unknown
        ends: dict[Address, float] = {}
        waits, by_address = self.waits(), {c.address: c for c in pending}
        for address in TopologicalSorter(waits).static_order():
            begins = max((ends[a] for a in waits[address]), default=0.0)
            ends[address] = begins + (by_address[address].expected_s or 0.0)
        return max(ends.values(), default=0.0), unknown

    @property
    def sound(self) -> bool:
        """No error, and no guardrail that blocks."""
        return not any(d.severity is Severity.ERROR for d in self.diagnostics) and not any(
            v.outcome is Outcome.BLOCK for v in self.verdicts)

    def can_apply(self) -> bool:
        """The one place that says whether a plan may run: it is sound, and was made from the live environment."""
        return self.sound and self.snapshot_at is None

    def exit_code(self, *, detailed: bool) -> int:
        """What a command that only shows the plan ends with: 1 error, 3 refused by a guardrail, with `detailed` 2 where
        there are changes, else 0."""
        if any(d.severity is Severity.ERROR for d in self.diagnostics):
            return 1
        if not self.sound:
            return 3
        return 2 if detailed and self.pending else 0
