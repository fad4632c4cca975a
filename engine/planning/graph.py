"""The graph of an environment, compiled from its manifest and never listed by hand.

Owns: compile and its checks (unique addresses, known dependencies, no cycle), and the order of steps.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from engine.kinds.base import Kind
from engine.model.address import Address
from engine.model.diagnostic import Diagnostic, Refused, error
from engine.model.manifest import Manifest
from engine.model.step import Environment, Step
from engine.policy.naming import tags


@dataclass(frozen=True, slots=True)
class Graph:
    """Steps by address, dependencies first, by address where the order is free; and what depends on each of them."""

    steps: Mapping[Address, Step]
    dependents: Mapping[Address, frozenset[Address]]

    def ordered(self) -> Iterable[Step]:
        """All steps, dependencies first."""
        return self.steps.values()


def environment_of(manifest: Manifest) -> Environment:
    """Who the manifest's environment is."""
    names = manifest.names
    return Environment(manifest.environment, manifest.target, names.project, names.team, names.owner, names.env,
                       tags(manifest), names.short, names.env_short, manifest.access)


def compile_graph(manifest: Manifest, kinds: Mapping[str, Kind]) -> Graph:
    """The manifest's graph. Raises Refused with every duplicate, dangling dependency and cycle."""
    return assemble([step for name in sorted(kinds) for step in kinds[name].steps(manifest)])


def assemble(steps: Iterable[Step]) -> Graph:
    """A checked graph of the steps."""
    by_address: dict[Address, Step] = {}
    problems: list[Diagnostic] = []
    for step in steps:
        if step.address in by_address:
            problems.append(error("duplicate-step", f"Two steps are called {step.address}.", position=step.source,
                                  mend="Rename one of them."))
        by_address[step.address] = step
    dependents: dict[Address, set[Address]] = {address: set() for address in by_address}
    for step in by_address.values():
        for dependency in sorted(step.depends_on):
            if dependency in by_address:
                dependents[dependency].add(step.address)
            else:
                problems.append(error("unknown-step", f"{step.address} depends on {dependency}, which does not exist.",
                                      mend="Declare it, or take the reference out.", position=step.source,
                                      address=step.address))
    try:
        order = _order(by_address)
    except CycleError as found:
        problems.append(_cycle(found.args[1], by_address))
    if problems:
        raise Refused(problems)
    return Graph({address: by_address[address] for address in order},
                 {address: frozenset(found) for address, found in dependents.items()})


def _order(steps: Mapping[Address, Step]) -> list[Address]:
    """Dependencies first; of all that may come next, the first by address. Raises CycleError."""
    sorter = TopologicalSorter({a: [d for d in steps[a].depends_on if d in steps] for a in sorted(steps)})
    sorter.prepare()
    ready, order = list(sorter.get_ready()), []
    heapq.heapify(ready)
    while ready:
        address = heapq.heappop(ready)
        order.append(address)
        sorter.done(address)
        for freed in sorter.get_ready():
            heapq.heappush(ready, freed)
    return order


def _cycle(found: list[Address], steps: Mapping[Address, Step]) -> Diagnostic:
    """Told from the first of its steps by address; each is followed by one that waits for it."""
    first = found.index(min(found))
    path = [*found[first:-1], *found[:first + 1]]
    return error("cycle", f"These steps wait for each other: {' → '.join(map(str, path))}.",
                 mend="Take one of the dependencies out.", position=steps[path[0]].source, address=path[0])
