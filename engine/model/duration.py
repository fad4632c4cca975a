"""Durations in words: the same in evidence, details and every renderer."""

from __future__ import annotations

from datetime import timedelta

_UNITS = (("day", 86_400), ("h", 3_600), ("min", 60))


def spoken(amount: timedelta | float) -> str:
    """`0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 days`: the two largest units; a number is in seconds."""
    total = amount.total_seconds() if isinstance(amount, timedelta) else amount
    if total < 0:
        return f"-{spoken(-total)}"
    if total < 10 and total != int(total):
        return f"{total:.1f} s"
    rest, parts = round(total), []
    for unit, size in (*_UNITS, ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}")
    return " ".join(parts[:2]) or "0 s"
