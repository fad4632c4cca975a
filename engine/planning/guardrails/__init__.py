"""Guardrails: the policy's rules held against a plan, one file each. All of them run; none stops at the first.

A guardrail is one module in this package with an object named GUARDRAIL; nothing else names it. It is judged when a
plan is made, and again before the first change of an apply, on what is live then; so it is given the plan and never the
manifest. Must not: read the live environment (they are given what was read), or change a plan.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from engine.discovery import module_names
from engine.model.diagnostic import Diagnostic, Refused, Severity, error
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Outcome, Override, Verdict

REFUSED = 3
"""The exit code of what a guardrail refuses."""


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

    @property
    def overridable(self) -> bool:
        """Whether the policy lets somebody accept its refusal, by name and with a reason."""

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """Its verdicts, each with evidence; pure."""


def discover() -> list[Guardrail]:
    """All guardrails of this package, by rule and name."""
    modules = [importlib.import_module(f"{__name__}.{name}") for name in module_names(__path__)]
    found: list[Guardrail] = [m.GUARDRAIL for m in modules if hasattr(m, "GUARDRAIL")]
    return sorted(found, key=lambda g: (_number(g.rule), g.name))


def _number(rule: str) -> tuple[int, ...]:
    return tuple(map(int, rule.removeprefix("P").split(".")))


def judge(guardrails: Sequence[Guardrail], plan: Plan, live: LiveState, now: datetime) -> tuple[Verdict, ...]:
    """Every guardrail's verdicts, the plan's overrides taken into account. Of a plan that destroys and then builds both
    parts are judged before anything is destroyed: the second on what will be left, which is nothing."""
    found: list[Verdict] = []
    for guardrail in guardrails:
        answers = [list(guardrail.judge(phase, seen, now))
                   for phase, seen in zip(plan.phases(), (live, live.emptied()), strict=False)]
        found += answers[0] if len(answers) == 1 else _both(*answers)
    return accept(found, plan.overrides, guardrails)


def _both(first: list[Verdict], then: list[Verdict]) -> list[Verdict]:
    """The verdicts on both parts; where both pass, one that has the evidence of both."""
    calm = (Outcome.PASS, Outcome.PASS)
    if len(first) == len(then) == 1 and (first[0].outcome, then[0].outcome) == calm:
        same = first[0].evidence == then[0].evidence
        return [first[0] if same else replace(first[0], evidence=f"{first[0].evidence}; then: {then[0].evidence}")]
    return [*first, *(v for v in then if v.outcome is not Outcome.PASS or all(
        f.outcome is Outcome.PASS for f in first))]


def accept(verdicts: Iterable[Verdict], overrides: Sequence[Override],
           guardrails: Sequence[Guardrail]) -> tuple[Verdict, ...]:
    """The verdicts with what is overridden as a warning that keeps the reason; what may not be stays a refusal."""
    reasons = {o.guardrail: o.reason for o in overrides}
    allowed = {g.name for g in guardrails if g.overridable}

    def one(verdict: Verdict) -> Verdict:
        if verdict.outcome is not Outcome.BLOCK or verdict.name not in reasons.keys() & allowed:
            return verdict
        said = f"{verdict.evidence}; overridden: {reasons[verdict.name]}"
        told = verdict.diagnostic and replace(verdict.diagnostic, severity=Severity.WARNING, detail=said,
                                              mend="Nothing; somebody answers for it.")
        return replace(verdict, outcome=Outcome.WARN, evidence=said, diagnostic=told)

    return tuple(map(one, verdicts))


def overridden(plan: Plan, overrides: tuple[Override, ...], guardrails: Sequence[Guardrail]) -> Plan:
    """The plan with further overrides."""
    everything = (*plan.overrides, *overrides)
    return replace(plan, overrides=everything, verdicts=accept(plan.verdicts, everything, guardrails))


def asked_overrides(names: Sequence[str], reason: str | None, guardrails: Sequence[Guardrail]) -> tuple[Override, ...]:
    """The overrides that somebody asks for. Raises Refused (exit code 3) where the policy allows none, and (1) where a
    name is unknown or the reason is missing."""
    known = {g.name: g for g in guardrails}
    problems: list[Diagnostic] = []
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            problems.append(error("override-unknown", f"There is no guardrail {name!r}.",
                                  mend=f"Did you mean {near[0]}?" if near else "List them: txplan guardrails"))
    if names and not (reason or "").strip():
        problems.append(error("override-without-reason", "An override needs a reason, which the plan and the journal "
                              "keep.", mend='Add --reason "why this is known and accepted"'))
    if problems:
        raise Refused(problems)
    fixed = [known[name] for name in names if not known[name].overridable]
    if fixed:
        raise Refused([error("override-refused", f"The policy lets nobody override {g.name}.", g.meaning,
                             "Mend what it names.", rule=g.rule) for g in fixed], exit_code=REFUSED)
    return tuple(Override(name, str(reason).strip()) for name in dict.fromkeys(names))
