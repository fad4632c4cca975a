"""Verdicts of guardrails: each rule's answer with its evidence."""

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
