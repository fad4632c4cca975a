"""A graph in Mermaid's flowchart language, which pull requests show as a picture."""

from __future__ import annotations

from collections.abc import Iterable

from engine.model.address import Address
from engine.model.step import Step


def render(steps: Iterable[Step]) -> str:
    """A flowchart, left to right."""
    lines = ["flowchart LR"]
    for step in steps:
        lines.append(f'  {_id(step.address)}["{step.address}"]')
        lines += [f"  {_id(d)} --> {_id(step.address)}" for d in sorted(step.depends_on)]
    return "\n".join(lines) + "\n"


def _id(address: Address) -> str:
    return str(address).replace(".", "_").replace("-", "_")
