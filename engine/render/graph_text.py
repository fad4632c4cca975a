"""A graph as an indented text: each step under what it waits for last, in the order of a run."""

from __future__ import annotations

from collections.abc import Iterable

from engine.model.step import Step


def render(steps: Iterable[Step]) -> str:
    """One line a step, dependencies first; the number is the stage in which it can run."""
    stage: dict[object, int] = {}
    lines = []
    for step in steps:
        stage[step.address] = 1 + max((stage[d] for d in step.depends_on), default=0)
        after = ", ".join(str(d) for d in sorted(step.depends_on) if stage[d] == stage[step.address] - 1)
        lines.append((stage[step.address], str(step.address), f"  after {after}" if after else ""))
    width = max((len(name) for _, name, _ in lines), default=0)
    return "".join(f"{number:>3}  {name.ljust(width)}{after}".rstrip() + "\n" for number, name, after in sorted(lines))
