"""What one plan does otherwise than another, as text."""

from __future__ import annotations

from collections.abc import Iterator

from engine.model.change import Action, Diff
from engine.planning.comparison import Comparison, StepComparison
from engine.render import words
from engine.render.paint import MARKS, Paint


def render(comparison: Comparison, paint: Paint) -> str:
    """A few lines, ending in a newline."""
    return "\n".join(_lines(comparison, paint)) + "\n"


def _lines(comparison: Comparison, paint: Paint) -> Iterator[str]:
    for diff in comparison.about:
        yield f"  {diff.path}: {_short(diff.before)} → {_short(diff.after)}"
    if not comparison:
        yield paint("Both plans do the same.", "strong")
        return
    yield ""
    for step in comparison.steps:
        yield from _step(step, paint)
    for verdict in comparison.verdicts:
        where = f" {verdict.address}" if verdict.address else ""
        yield (f"  guardrail {verdict.name}{where}: {_word(verdict.first)} → {_word(verdict.second)}"
               f"  {paint(verdict.evidence, 'dim')}")
    yield ""
    yield paint(f"The second plan differs: steps {len(comparison.steps)}, guardrails {len(comparison.verdicts)}.",
                "strong")


def _step(step: StepComparison, paint: Paint) -> Iterator[str]:
    mark, role = MARKS[step.second or Action.NOOP]
    said = (f"{_word(step.first)} → {_word(step.second)}" if step.first is not step.second
            else f"{_word(step.second)}, otherwise")
    yield f"  {paint(mark, role)} {step.address}  {said}"
    for what, found in (("declared", step.declared), ("live", step.live)):
        yield from (f"      {what} {_value(diff)}" for diff in found)


def _value(diff: Diff) -> str:
    return f"{diff.path}: {_short(diff.before)} → {_short(diff.after)}"


def _word(item: Action | str | None) -> str:
    return str(item) if item is not None else "not in the plan"


def _short(item: object) -> str:
    text = words.value(item)
    return text if len(text) <= 80 else f"{text[:79]}…"
