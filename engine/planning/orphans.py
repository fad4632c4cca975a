"""Orphans: what an environment owns and no manifest declares; told always, deleted where a plan is asked to. Pure.

What somebody else put into the environment is no orphan of it and is never deleted (P11.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from engine.model.change import Action, Change, Reason
from engine.model.diagnostic import Diagnostic, warning
from engine.model.observation import LiveState, Observation
from engine.model.step import Step
from engine.planning.road_back import PRUNED


def orphan_step(seen: Observation) -> Step:
    """The step by which an orphan is observed and deleted; `notes` hold the type and name that it has on its target."""
    spec = {key: seen.notes[key] for key in ("type", "name")}
    container = {key: seen.attributes[key] for key in ("namespace", "server") if key in seen.attributes}
    return Step(seen.address, {**spec, **container, **({"tags": seen.attributes["tags"]} if "tags" in seen.attributes
                                                       else {})})


def pruned(live: LiveState, changes: Sequence[Change], *, prune: bool) -> tuple[list[Change], list[Diagnostic]]:
    """The deletions of all orphans with `prune`, and what is to be said of those that stay.

    They go last: until the apps have moved on, something may still use them.
    """
    strangers = _strangers(live.by_address.values())
    removed: list[Change] = []
    told: list[Diagnostic] = []
    for seen in live.orphans:
        if not prune or _what(seen) in strangers:
            told.append(_told(seen, foreign=_what(seen) in strangers))
            continue
        step = orphan_step(seen)
        removed.append(Change(
            step.address, Action.DELETE, step.spec, frozenset(c.address for c in changes if c.address.kind == "app"),
            seen.digest, seen.attributes, (Reason(PRUNED, "The environment owns it, and the manifest does not declare "
                                                  "it."),)))
    return removed, told


def _what(seen: Observation) -> str:
    return f"{seen.notes['type']} {seen.notes['name']}"


def _strangers(observed: Iterable[Observation]) -> set[str]:
    """What lies in the environment's resources and is somebody else's, by type and name."""
    found: set[str] = set()
    for seen in observed:
        inside: Any = seen.notes.get("foreign")
        found |= {str(f["what"]) for f in inside or ()}
    return found


def _told(seen: Observation, *, foreign: bool) -> Diagnostic:
    if foreign:
        return warning("foreign", f"The {_what(seen)} is in the environment, and somebody else made it.",
                       mend="Take it out; nothing of the environment is deleted while it is there.", rule="P11.2")
    return warning("orphan", f"The environment owns the {_what(seen)}, which the manifest does not declare.",
                   mend="Declare it, or delete it by a plan: txplan plan MANIFEST --prune")
