"""The gates' answers as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from engine.kinds.records import Answer
from engine.model.duration import spoken
from engine.render.paint import Paint

_OUTCOMES = {"pass": "good", "fail": "bad", "no-data": "warn"}


def render(answers: Sequence[Answer], paint: Paint) -> str:
    """Gate by gate, the oldest answer first; ending in a newline."""
    return "\n".join(_lines(answers, paint)) + "\n"


def _lines(answers: Sequence[Answer], paint: Paint) -> Iterator[str]:
    if not answers:
        yield "No gate was ever asked here."
    for step, some in groupby(answers, lambda answer: answer.step):
        yield paint(step.removeprefix("gate."), "strong")
        for answer in some:
            window = answer.detail.get("window_s")
            about = [f"{answer.at:%Y-%m-%d %H:%M:%SZ}", *([f"window {spoken(float(window))}"] if window else []),
                     *([f"run {answer.detail['run']}"] if answer.detail.get("run") else [])]
            outcome = paint(answer.outcome.ljust(8), _OUTCOMES.get(answer.outcome, "dim"))
            yield f"  {outcome} {answer.detail.get('says', '')}  {paint(' · '.join(about), 'dim')}"
