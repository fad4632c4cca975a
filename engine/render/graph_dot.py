"""A graph in Graphviz' DOT language."""

from __future__ import annotations

from collections.abc import Iterable

from engine.model.step import Step


def render(steps: Iterable[Step]) -> str:
    """A digraph, left to right."""
    lines = ["digraph txplan {", "  rankdir=LR;", '  node [shape=box, style=rounded, fontname="sans-serif"];']
    for step in steps:
        lines.append(f'  "{step.address}";')
        lines += [f'  "{d}" -> "{step.address}";' for d in sorted(step.depends_on)]
    return "\n".join([*lines, "}"]) + "\n"
