"""Comparison: what one plan does otherwise than another. Pure: two plans in, data out.

Owns: what counts as a difference between plans. Must not: say which of them is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.model.address import Address
from engine.model.change import Action, Change, Diff
from engine.model.difference import differences
from engine.model.plan import Plan
from engine.model.verdict import Outcome, Verdict


@dataclass(frozen=True, slots=True)
class StepComparison:
    """One step that the plans treat differently. An action is None where the plan has no such step; `declared` are the
    values that the step shall have, `live` those that were read, each first against second."""

    address: Address
    first: Action | None
    second: Action | None
    declared: tuple[Diff, ...]
    live: tuple[Diff, ...]


@dataclass(frozen=True, slots=True)
class VerdictComparison:
    """A guardrail that answers otherwise; None where only the other plan has its answer."""

    name: str
    address: Address | None
    first: Outcome | None
    second: Outcome | None
    evidence: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that the second plan does otherwise than the first; `about` is what they were made of."""

    about: tuple[Diff, ...]
    steps: tuple[StepComparison, ...]
    verdicts: tuple[VerdictComparison, ...]

    def __bool__(self) -> bool:
        """Whether anything is done or judged otherwise; who made a plan and when is no difference."""
        return bool(self.steps or self.verdicts)


def compare(first: Plan, second: Plan) -> Comparison:
    """What `second` does otherwise than `first`."""
    steps = [*_steps(first.changes, second.changes), *_steps(first.rebuild, second.rebuild)]
    return Comparison(differences(_about(first), _about(second)), tuple(steps),
                      tuple(_verdicts(first, second)))


def _about(plan: Plan) -> dict[str, str | bool]:
    return {"environment": plan.environment.name, "target": plan.environment.target, "destroy": plan.destroy,
            "recreate": bool(plan.rebuild), "manifest": plan.manifest_digest, "live": plan.live_digest,
            "tool": plan.tool_version, "made_by": plan.made_by, "made_on": plan.made_on,
            "created_at": plan.created_at.isoformat()}


def _steps(first: Sequence[Change], second: Sequence[Change]) -> list[StepComparison]:
    one, other = ({c.address: c for c in changes} for changes in (first, second))
    order = dict.fromkeys([*other, *one])
    found = [_step(address, one.get(address), other.get(address)) for address in order]
    return [c for c in found if c.first is not c.second or c.declared or c.live]


def _step(address: Address, first: Change | None, second: Change | None) -> StepComparison:
    one, other = _action(first), _action(second)
    idle = {one, other} <= {Action.NOOP, None}
    if first is None or second is None or idle:
        # A step that neither plan touches is no difference, whatever its values.
        return StepComparison(address, *((None, None) if idle else (one, other)), (), ())
    return StepComparison(address, one, other, differences(first.spec, second.spec),
                          differences(first.before or {}, second.before or {}))


def _action(change: Change | None) -> Action | None:
    return change.action if change else None


def _verdicts(first: Plan, second: Plan) -> list[VerdictComparison]:
    one, other = _answers(first), _answers(second)
    found = []
    for key in sorted({*one, *other}, key=lambda k: (k[0], str(k[1] or ""))):
        before, after = one.get(key), other.get(key)
        outcomes = (before.outcome if before else None, after.outcome if after else None)
        if outcomes[0] is not outcomes[1]:
            found.append(VerdictComparison(*key, *outcomes, (after or before).evidence))  # type: ignore[union-attr]
    return found


def _answers(plan: Plan) -> dict[tuple[str, Address | None], Verdict]:
    return {(v.name, v.address): v for v in plan.verdicts}
