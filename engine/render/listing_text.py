"""Live environments as lines for a terminal: who, how long yet, how they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.model.duration import spoken
from engine.planning.listing import Listed
from engine.render.paint import Paint

_HEADS = ("name", "target", "profile", "owner", "age", "ttl", "health")


def render(found: Sequence[Listed], warn_days: int, paint: Paint) -> str:
    """A table, with what there is to do below each line that asks for something."""
    if not found:
        return "No environment is live here.\n"
    rows = [(e.name, e.target, e.profile or "?", e.owner, spoken(round(e.age_s)), left(e), e.health) for e in found]
    widths = [max(len(row[i]) for row in (_HEADS, *rows)) for i in range(len(_HEADS))]
    lines = [paint("  ".join(h.ljust(w) for h, w in zip(_HEADS, widths, strict=True)).rstrip(), "dim")]
    for one, row in zip(found, rows, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[5] = paint(cells[5], "bad" if one.expired else "warn" if near(one, warn_days) else "dim")
        cells[6] = paint(row[6], "good" if one.serves else "bad")
        lines += ["  ".join(cells), *(f"    {paint(text, 'warn')}" for text in _asks(one))]
    return "\n".join(lines) + "\n"


def left(one: Listed) -> str:
    """`2026-12-31 (37 days left)`."""
    days = one.days_left
    if days is None:
        return f"{one.ttl or 'none'} (no day)"
    if days < 0:
        return f"{one.ttl} (expired {-days} day{'s' if days < -1 else ''} ago)"
    return f"{one.ttl} ({'last day' if days == 0 else f'{days} days left'})"


def near(one: Listed, warn_days: int) -> bool:
    """Whether it expires within so many days."""
    return one.days_left is not None and 0 <= one.days_left <= warn_days


def _asks(one: Listed) -> Iterator[str]:
    if one.lock:
        yield f"locked by {one.lock.who}@{one.lock.host} (pid {one.lock.pid}): {one.lock.purpose}"
    if one.stranger:
        yield f"not proven to be what it says: {one.stranger}"
    if one.manifest is None or one.profile is None:
        yield f"no manifest can be read{f' ({one.manifest})' if one.manifest else ''}"
    for orphan in one.orphans or ():
        yield f"orphan: {orphan}; delete it by a plan: txplan plan {one.manifest} --prune"
