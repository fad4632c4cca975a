"""Recreate: what building anew has to know of what is destroyed before (P7.2). Pure.

The records of generations go with the database, so the plan itself carries the last one: it is read while it is live,
and the next cutover is taken above it. Must not: order or decide any step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engine.kinds import wiring
from engine.kinds.cutover import AFTER
from engine.model.diagnostic import Diagnostic, error
from engine.model.manifest import Names
from engine.model.observation import LiveState
from engine.planning.graph import Graph
from engine.policy.naming import generation_of


def above_the_live_generation(graph: Graph, live: LiveState) -> tuple[Graph, list[Diagnostic]]:
    """The graph with a cutover whose generation will be above the live one, and what hinders that."""
    step, seen = graph.steps.get(wiring.CUTOVER), live.by_address.get(wiring.CUTOVER)
    if step is None or seen is None:
        return graph, []
    notes: Any = seen.notes
    tokens: Any = step.spec["names"]
    groups = [*(notes.get("groups") or ()), *filter(None, [notes.get("in_use"), seen.attributes.get("group")])]
    known = [g for group in groups if (g := generation_of(Names(**tokens), str(group))) is not None]
    if not known and seen.exists:
        return graph, [error("generation-unknown", "Which generation is live cannot be read, nor what the next one is.",
                             f"{seen.unreadable or 'Its record names none'}.",
                             "Bring it up first (txplan apply), or destroy it and build it by two plans.",
                             position=step.source, address=step.address, rule="P7.2")]
    above = replace(step, spec={**step.spec, AFTER: max(known, default=0)})
    return Graph({**graph.steps, step.address: above}, graph.edges), []
