"""Drift: what somebody changed outside since it was last applied, told apart from what the manifest changes. Pure.

Live against what was applied is drift; what was applied against what is declared is the manifest's own change. Where
nothing was kept, nothing is claimed.
"""

from __future__ import annotations

from engine.model.change import Diff
from engine.model.difference import differences
from engine.model.observation import Observation
from engine.model.value import Attributes

GONE = "exists"
"""The path of the one difference of a thing that was applied and is gone."""


def drift_of(seen: Observation, applied: Attributes | None) -> tuple[Diff, ...]:
    """Each value as it was applied (`before`) and as it is live (`after`)."""
    if applied is None or seen.unreadable:
        return ()
    if not seen.exists:
        return (Diff(GONE, True, False),)
    return differences(applied, {key: seen.attributes.get(key) for key in applied})
