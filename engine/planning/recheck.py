"""Recheck: every guardrail again, on what is live now, before an apply changes anything.

Owns: the second judgement of a plan. Must not: change anything, or read the manifest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from engine.kinds.base import Kind
from engine.model.diagnostic import Refused
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.step import Step
from engine.model.verdict import Outcome
from engine.planning.guardrails import REFUSED, Guardrail, judge
from engine.planning.observe import observe
from engine.providers.base import Capabilities


def live_of(plan: Plan, kinds: Mapping[str, Kind], capabilities: Capabilities) -> LiveState:
    """What is live now of the plan's steps."""
    steps = [Step(c.address, c.spec, c.waits_for, source=c.source, positions=c.positions) for c in plan.changes]
    return observe(steps, kinds, capabilities)


def recheck(plan: Plan, kinds: Mapping[str, Kind], capabilities: Capabilities, guardrails: Sequence[Guardrail],
            now: datetime) -> None:
    """Raises Refused (exit code 3) with all that a guardrail refuses on the present live state."""
    live = live_of(plan, kinds, capabilities)
    refused = [v for v in judge(guardrails, plan, live, now) if v.outcome is Outcome.BLOCK]
    if refused:
        raise Refused([v.diagnostic for v in refused if v.diagnostic is not None], exit_code=REFUSED)
