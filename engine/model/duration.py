"""Durations: as manifests and options write them, and in words, the same in evidence, details and every renderer."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = (("day", 86_400), ("h", 3_600), ("min", 60))
_WRITTEN = {"ms": timedelta(milliseconds=1), "s": timedelta(seconds=1), "m": timedelta(minutes=1),
            "h": timedelta(hours=1), "d": timedelta(days=1)}


def written(text: str) -> timedelta:
    """The duration that `90s`, `5m`, `24h` or `3d` stands for; raises ValueError for any other text, OverflowError for
    one that no calendar holds."""
    match = re.fullmatch(r"([0-9]+)(ms|s|m|h|d)", text)
    if match is None:
        raise ValueError(f"{text!r} is no duration; write a number and ms, s, m, h or d, such as 24h")
    return int(match[1]) * _WRITTEN[match[2]]


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
