"""Guardrails: the policy's rules held against a plan, one file each. All of them run; none stops at the first.

A guardrail is one module in this package with an object named GUARDRAIL; nothing else names it. Must not: read the live
environment (they are given what was read), or change a plan.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Protocol

from engine.discovery import module_names
from engine.model.manifest import Manifest
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Verdict


class Guardrail(Protocol):
    """One rule of the policy."""

    @property
    def rule(self) -> str:
        """Its number in the policy, such as `P6.5`."""

    @property
    def name(self) -> str:
        """Its name, such as `retention`."""

    @property
    def meaning(self) -> str:
        """What it protects from, in one sentence."""

    def judge(self, plan: Plan, manifest: Manifest, live: LiveState) -> Iterable[Verdict]:
        """Its verdicts, each with evidence; pure."""


def discover() -> list[Guardrail]:
    """All guardrails of this package, by rule and name."""
    modules = [importlib.import_module(f"{__name__}.{name}") for name in module_names(__path__)]
    found: list[Guardrail] = [m.GUARDRAIL for m in modules if hasattr(m, "GUARDRAIL")]
    return sorted(found, key=lambda g: (g.rule, g.name))


def judge(guardrails: Sequence[Guardrail], plan: Plan, manifest: Manifest, live: LiveState) -> Iterable[Verdict]:
    """Every guardrail's verdicts."""
    for guardrail in guardrails:
        yield from guardrail.judge(plan, manifest, live)
