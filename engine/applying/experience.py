"""Experience: how long steps took before, from the journal, for the reader of a plan.

Must not: decide anything; a plan with no history says nothing of durations.
"""

from __future__ import annotations

from collections import defaultdict, deque
from statistics import median

from engine.applying.journal import Journal
from engine.model.address import Address
from engine.model.change import Action
from engine.model.plan import Experience

RECENT = 5
"""How many of the last runs of a step count."""


def experience(journal: Journal) -> dict[tuple[Address, Action], Experience]:
    """By step and action, the median of the last runs that did something; rows a second where they told rows."""
    seconds: dict[tuple[Address, Action], deque[float]] = defaultdict(lambda: deque(maxlen=RECENT))
    rates: dict[tuple[Address, Action], deque[float]] = defaultdict(lambda: deque(maxlen=RECENT))
    for entry in journal.entries():
        result = entry.get("result") or {}
        if entry.get("event") != "StepSucceeded" or result.get("already"):
            continue
        key = (Address.parse(entry["address"]), Action(entry["action"]))
        took, rows = float(entry["seconds"]), result.get("read")
        seconds[key].append(took)
        if isinstance(rows, int) and rows and took:
            rates[key].append(rows / took)
    return {key: Experience(median(found), median(rates[key]) if key in rates else None)
            for key, found in seconds.items()}
