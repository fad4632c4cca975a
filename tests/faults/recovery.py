"""How long each fault took to recover from, as measured in this run: the table that is shown at its end.

Owns the list of what was measured. Must not judge: a fault that is slow has passed all the same.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recovery:
    """`seconds`: from the end of the cause until an event of that moment was served, in every partition."""

    fault: str
    lasted: float
    seconds: float
    events: int


MEASURED: list[Recovery] = []


def table() -> list[str]:
    """The lines of the table, as Markdown."""
    lines = ["| fault | lasted | recovered after | events sent meanwhile |", "|---|---:|---:|---:|"]
    for one in MEASURED:
        lines.append(f"| {one.fault} | {one.lasted:.1f} s | {one.seconds:.1f} s | {one.events:,} |")
    return lines
