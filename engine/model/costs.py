"""What an environment costs: the prices, and the estimate that a plan carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.model.address import Address


@dataclass(frozen=True, slots=True)
class Price:
    """One line of a type's costs a month: `amounts` by the spec's value of `by` (by "" where there is none), as often
    as the spec's value of `times` says (once where there is none)."""

    by: str
    times: str
    amounts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Prices:
    """A target's price table. `as_of` is its date; `by_use` says in words what comes on top, by type."""

    as_of: str
    currency: str
    region: str
    fixed: Mapping[str, tuple[Price, ...]]
    by_use: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step costs a month, before the plan and after it; `by_use` comes on top, and `unknown` says for what there
    is no price (both empty where there is nothing)."""

    address: Address
    before: float
    after: float
    by_use: str = ""
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Costs:
    """An estimate by list prices of `as_of` in `region`: one item a step that costs anything."""

    currency: str
    as_of: str
    region: str
    items: tuple[Cost, ...]

    @property
    def before(self) -> float:
        """What the environment costs a month now."""
        return round(sum(i.before for i in self.items), 2)

    @property
    def after(self) -> float:
        """What it costs a month when the plan is applied."""
        return round(sum(i.after for i in self.items), 2)
