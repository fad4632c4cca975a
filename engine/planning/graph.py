"""The graph of an environment, compiled from its manifest and never listed by hand.

Owns: compile and its checks (unique addresses, known dependencies, no cycle).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import networkx as nx

from engine.kinds.base import Kind
from engine.model.address import Address
from engine.model.diagnostic import Diagnostic, Refused, error
from engine.model.manifest import Manifest
from engine.model.step import Environment, Step
from engine.policy.naming import tags


@dataclass(frozen=True, slots=True)
class Graph:
    """Steps by address, and the order between them; an edge points from a dependency to what depends on it."""

    steps: Mapping[Address, Step]
    edges: nx.DiGraph[Address]

    def ordered(self) -> Iterator[Step]:
        """All steps, dependencies first, by address where the order is free."""
        for address in nx.lexicographical_topological_sort(self.edges):
            yield self.steps[address]


def environment_of(manifest: Manifest) -> Environment:
    """Who the manifest's environment is."""
    names = manifest.names
    return Environment(manifest.environment, manifest.target, names.project, names.team, names.owner, names.env,
                       tags(manifest), names.short, names.env_short, manifest.access, _site(manifest))


def _site(manifest: Manifest) -> dict[str, Any]:
    """Where the target is: nothing for this machine."""
    return {} if manifest.azure is None else {**asdict(manifest.azure), "database": manifest.postgres.database}


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
    edges: nx.DiGraph[Address] = nx.DiGraph()
    edges.add_nodes_from(sorted(by_address))
    for step in by_address.values():
        for dependency in sorted(step.depends_on):
            if dependency in by_address:
                edges.add_edge(dependency, step.address)
            else:
                problems.append(error("unknown-step", f"{step.address} depends on {dependency}, which does not exist.",
                                      mend="Declare it, or take the reference out.", position=step.source,
                                      address=step.address))
    problems += _cycles(edges, by_address)
    if problems:
        raise Refused(problems)
    return Graph(by_address, edges)


def _cycles(edges: nx.DiGraph[Address], steps: Mapping[Address, Step]) -> list[Diagnostic]:
    if nx.is_directed_acyclic_graph(edges):  # In one pass; the search for a cycle may pass a step again and again.
        return []
    found = nx.find_cycle(edges)
    path = [edge[0] for edge in found] + [found[0][0]]
    text = " → ".join(str(a) for a in path)
    return [error("cycle", f"These steps wait for each other: {text}.", mend="Take one of the dependencies out.",
                  position=steps[path[0]].source, address=path[0])]
