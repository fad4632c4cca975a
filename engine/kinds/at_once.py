"""Many steps read at once, for planning and for applying. Must not: know what is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

READERS = 16
"""How many steps are read at once: reads wait for sockets, not for processors."""


def at_once(read: Callable[[S], T], steps: Sequence[S]) -> list[T]:
    """What `read` answers to each of the steps, in their order. Each reader takes the next step by itself: handing
    thousands of them out one by one costs more than reading them."""
    waiting = iter(enumerate(steps))  # Taking from it is one step of the interpreter, so no two take the same.
    found: dict[int, T] = {}

    def reader(_: int) -> None:
        for number, step in waiting:
            found[number] = read(step)

    with ThreadPoolExecutor(READERS) as pool:
        list(pool.map(reader, range(min(READERS, len(steps)))))
    return [found[number] for number in range(len(steps))]
