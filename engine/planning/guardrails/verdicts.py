"""How a guardrail words its verdicts. Owns nothing else; each rule says what it looked at."""

from __future__ import annotations

from typing import Any, Protocol

from engine.model.address import Address
from engine.model.change import Change
from engine.model.diagnostic import Diagnostic
from engine.model.plan import Plan
from engine.model.verdict import Outcome, Verdict


class Named(Protocol):
    """What a verdict needs of its guardrail."""

    @property
    def rule(self) -> str:
        """Its number in the policy."""

    @property
    def name(self) -> str:
        """Its name."""


def passed(rail: Named, evidence: str) -> Verdict:
    """The rule holds."""
    return Verdict(rail.rule, rail.name, Outcome.PASS, evidence)


def warned(rail: Named, evidence: str, diagnostic: Diagnostic, address: Address | None = None) -> Verdict:
    """The rule holds for now."""
    return Verdict(rail.rule, rail.name, Outcome.WARN, evidence, address, diagnostic)


def blocked(rail: Named, evidence: str, diagnostic: Diagnostic, address: Address | None = None) -> Verdict:
    """The rule is broken: the plan cannot be applied."""
    return Verdict(rail.rule, rail.name, Outcome.BLOCK, evidence, address, diagnostic)


def change_of(plan: Plan, address: Address) -> Change | None:
    """The plan's change at `address`, or None where the plan has no such step."""
    return next((c for c in plan.changes if c.address == address), None)


def listed(names: Any, most: int = 5) -> str:
    """`a, b and 3 more`: so many names that a line can hold them."""
    found = sorted(map(str, names))
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")
