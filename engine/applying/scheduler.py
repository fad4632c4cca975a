"""Scheduler: which change may start now. Pure bookkeeping: no thread, clock or provider.

Owns ready and blocked. The change with the longest chain behind it starts first, so that the critical path waits for
nothing but itself.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from engine.model.address import Address


class Scheduler:
    """The changes of one plan; `waits` holds what each of them waits for."""

    def __init__(self, waits: Mapping[Address, frozenset[Address]]) -> None:
        self._open: dict[Address, set[Address]] = {address: set(for_) for address, for_ in waits.items()}
        self._dependents: dict[Address, list[Address]] = {a: [] for a in self._open}
        for address, open_ in self._open.items():
            for dependency in open_:
                self._dependents[dependency].append(address)
        self._depth = self._depths()
        self._ready: list[tuple[int, Address]] = []
        for address, open_ in self._open.items():
            if not open_:
                self._push(address)

    def _depths(self) -> dict[Address, int]:
        """The length of the longest chain that each change opens, found from the ends without recursion."""
        depth = dict.fromkeys(self._open, 0)
        left = {a: len(d) for a, d in self._dependents.items()}
        ends = [a for a, n in left.items() if n == 0]
        while ends:
            address = ends.pop()
            for dependency in self._open[address]:
                depth[dependency] = max(depth[dependency], depth[address] + 1)
                left[dependency] -= 1
                if left[dependency] == 0:
                    ends.append(dependency)
        return depth

    def _push(self, address: Address) -> None:
        heapq.heappush(self._ready, (-self._depth[address], address))

    def next(self) -> Address | None:
        """Take the next change that may start, or None where all wait for something."""
        return heapq.heappop(self._ready)[1] if self._ready else None

    def succeed(self, address: Address) -> None:
        """A change is applied and ready: what waited for nothing else may start."""
        del self._open[address]
        for dependent in self._dependents[address]:
            waits = self._open.get(dependent)
            if waits is None:
                continue
            waits.discard(address)
            if not waits:
                self._push(dependent)

    def fail(self, address: Address) -> list[Address]:
        """A change failed: all that depends on it, in order of address, will never start."""
        del self._open[address]
        blocked: set[Address] = set()
        stack = list(self._dependents[address])
        while stack:
            dependent = stack.pop()
            if dependent in self._open:
                del self._open[dependent]
                blocked.add(dependent)
                stack.extend(self._dependents[dependent])
        return sorted(blocked)

    def waits_for(self, address: Address) -> frozenset[Address]:
        """What a change still waits for."""
        return frozenset(self._open.get(address, ()))

    def remaining(self) -> list[Address]:
        """What has neither succeeded nor failed nor been blocked, sorted."""
        return sorted(self._open)
