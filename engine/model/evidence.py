"""Evidence: what a green apply proved, and of what; the ground on which a secure environment is built (P3.2 C).

A record holds no secret. Its name is the SHA-256 of its content, so that an edit is seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from engine.model.address import Address
from engine.model.step import Environment
from engine.model.value import Attributes
from engine.model.verdict import Override, Verdict

EVIDENCE_VERSION = 1


def measured(detail: Mapping[str, Any]) -> str:
    """What a smoke test or a gate measured, in a few words; empty where its detail does not say."""
    if "says" in detail:
        return str(detail["says"])
    if checks := detail.get("checks"):
        return f"{sum(bool(c['ok']) for c in checks)} of {len(checks)} checks hold"
    return f"{detail['window_s']} s of load" if "window_s" in detail else ""


@dataclass(frozen=True, slots=True)
class Proven:
    """One smoke test or gate: its answer, when it was taken, and what was measured."""

    address: Address
    outcome: str
    current: bool
    """Whether it is about the schema, cutover and apps that are live, or about earlier ones."""

    at: datetime
    detail: Attributes


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one environment was when its apply ended, and every proof of it. Times are in UTC."""

    evidence_version: int
    tool_version: str
    made_by: str
    made_on: str
    made_at: datetime
    environment: Environment
    manifest_file: str
    manifest_digest: str
    plan: str
    """The plan that was applied, by its id; `run` names the apply in the journal."""

    run: str
    code: str
    """SHA-256 over the service's source."""

    revisions: Mapping[str, str]
    """The revision of each app."""

    head: str
    landed: tuple[Mapping[str, str], ...]
    """The revisions of the schema with the fingerprints of their text, in order."""

    schema_drift: tuple[str, ...]
    """What somebody changed in the schema by hand, and no revision covers yet (P4.6)."""

    cutover: Attributes
    proofs: tuple[Proven, ...]
    verdicts: tuple[Verdict, ...]
    overrides: tuple[Override, ...]
    due: tuple[Address, ...]
    """The smoke tests and gates that the plan had; a record without one of them is partial."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """On what a plan of a secure environment is built: the evidence of another one, and how old its proofs may be."""

    id: str
    evidence: Evidence
    fresh_for_s: float

    @property
    def fresh_for(self) -> timedelta:
        """`fresh_for_s` as a duration."""
        return timedelta(seconds=self.fresh_for_s)
