"""The stream's books as text."""

from __future__ import annotations

from collections.abc import Iterator

from engine.kinds.books import Books, PartitionBooks
from engine.render.paint import Paint

_COLUMNS = ("consumed", "applied", "duplicate", "stale", "dlq", "redelivered", "unbooked", "passed_over")


def render(books: Books | None, paint: Paint) -> str:
    """A table of the partitions, the pairs, and the verdict; ending in a newline."""
    return "\n".join(_lines(books, paint)) + "\n"


def _lines(books: Books | None, paint: Paint) -> Iterator[str]:
    if books is None or not books.partitions:
        yield paint("No data: the stream has booked nothing.", "warn")
        return
    yield f"Group {books.group}"
    width = max(len(_name(p)) for p in books.partitions)
    yield "  " + paint(" " * width + "".join(f"{name.replace('_', ' '):>13}" for name in _COLUMNS), "dim")
    for partition in books.partitions:
        cells = []
        for column in _COLUMNS:
            value = int(getattr(partition, column))
            wrong = column in ("unbooked", "passed_over") and value
            cells.append(paint(f"{value:>13,}", "bad") if wrong else f"{value:>13,}")
        yield f"  {_name(partition):<{width}}{''.join(cells)}"
    for place in books.unread:
        yield f"  {place}: {paint('never read', 'warn')}"
    states = ", ".join(f"{count:,} {state}" for state, count in books.pairs.items()) or "none"
    off = f"; {paint(f'{books.unbalanced:,} complete ones do not cancel', 'bad')}" if books.unbalanced else ""
    yield f"Pairs: {states}{off}"
    if books.off:
        yield paint(f"The books are off by {books.off:,}.", "bad")
    elif not books.unread:
        yield paint("The books hold", "good") + (": consumed = applied + duplicate + stale + dlq, no offset was passed "
                                                 "over, and complete pairs cancel.")


def _name(partition: PartitionBooks) -> str:
    return f"{partition.topic}/{partition.partition}"
