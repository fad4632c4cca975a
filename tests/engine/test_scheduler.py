"""The scheduler over random graphs: nothing starts early, nothing is lost, a failure blocks exactly what follows."""

from __future__ import annotations

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from engine.applying.scheduler import Scheduler
from engine.model.address import Address


@st.composite
def graphs(draw: st.DrawFn) -> dict[Address, frozenset[Address]]:
    """A random acyclic graph: each node waits for some of those before it."""
    size = draw(st.integers(0, 25))
    nodes = [Address("resource", f"n{i:02}") for i in range(size)]
    return {node: frozenset(draw(st.sets(st.sampled_from(nodes[:i]), max_size=4))) if i else frozenset()
            for i, node in enumerate(nodes)}


def _descendants(waits: dict[Address, frozenset[Address]], of: Address) -> set[Address]:
    graph = nx.DiGraph([(d, a) for a, ds in waits.items() for d in ds])
    return nx.descendants(graph, of) if of in graph else set()


@given(graphs(), st.data())
def test_any_order_of_endings(waits: dict[Address, frozenset[Address]], data: st.DataObject) -> None:
    scheduler = Scheduler(waits)
    running: list[Address] = []
    done: set[Address] = set()
    failed: set[Address] = set()
    blocked: set[Address] = set()
    while True:
        while (address := scheduler.next()) is not None:
            assert waits[address] <= done
            running.append(address)
        if not running:
            break
        ended = running.pop(data.draw(st.integers(0, len(running) - 1)))
        if data.draw(st.booleans()):
            scheduler.succeed(ended)
            done.add(ended)
        else:
            newly = scheduler.fail(ended)
            assert set(newly) == _descendants(waits, ended) - blocked
            failed.add(ended)
            blocked |= set(newly)
    assert scheduler.remaining() == []
    assert done | failed | blocked == set(waits)
    assert blocked == {b for f in failed for b in _descendants(waits, f)}


def test_the_longest_chain_starts_first() -> None:
    a, b, c, lone = (Address("resource", n) for n in ("z-chain", "y", "x", "a-lone"))
    scheduler = Scheduler({lone: frozenset(), a: frozenset(), b: frozenset({a}), c: frozenset({b})})
    assert scheduler.next() == a
    assert scheduler.waits_for(c) == {b}
