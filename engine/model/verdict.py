"""Verdicts of guardrails: each rule's answer with its evidence, and what people may say to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.model.address import Address
from engine.model.diagnostic import Diagnostic


class Outcome(StrEnum):
    """What a guardrail says: PASS, WARN (shown), BLOCK (the plan cannot be applied)."""

    PASS = "pass"
    WARN = "warn"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule's answer. `evidence` is what was looked at, in words a reviewer can check."""

    rule: str
    name: str
    outcome: Outcome
    evidence: str
    address: Address | None = None
    diagnostic: Diagnostic | None = None


@dataclass(frozen=True, slots=True)
class Override:
    """Somebody's word that a guardrail's refusal is known and accepted; kept in the plan and in the journal."""

    guardrail: str
    reason: str


@dataclass(frozen=True, slots=True)
class DestroyLimit:
    """The blast radius that nobody has to confirm: how many resources, and which share (0 to 1) of those there are."""

    count: int
    share: float
