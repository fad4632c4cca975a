"""What differs between two readings of one thing: the same for a stale plan, for drift, and for two plans.

Must not: judge what a difference means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from engine.model.change import Diff
from engine.model.value import UNKNOWN, Attributes, Value

ABSENT = "(none)"
_LONG = 120


def same(one: Value, other: Value) -> bool:
    """Equal but for what is no difference: null, an empty list, an empty object and an absent key are one; 1 == 1.0."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(same(one.get(k), other.get(k)) for k in {*one, *other})
    return one == other or (not one and not other and one is not False and other is not False
                            and one != 0 and other != 0)


def differences(before: Attributes, after: Attributes) -> tuple[Diff, ...]:
    """The values that differ, by path; objects are compared key by key, everything else whole."""
    found: list[Diff] = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping) and UNKNOWN not in (old, new):
            found += [Diff(f"{key}.{d.path}", d.before, d.after) for d in differences(old, new)]
        elif not same(old, new):
            found.append(Diff(key, old, new))
    return tuple(found)


def in_words(diff: Diff) -> str:
    """`retention_hours: 72.0 → 96.0`, on one line; what is very long is cut."""
    return f"{diff.path}: {value_in_words(diff.before)} → {value_in_words(diff.after)}"


def value_in_words(item: Value) -> str:
    """A value on one line, cut where it is very long."""
    text = in_full(item)
    return text if len(text) <= _LONG else f"{text[:_LONG - 1]}…"


def in_full(item: Value) -> str:
    """A value on one line; what is known only after apply says so."""
    if item == UNKNOWN:
        return "(known after apply)"
    if item is None:
        return ABSENT
    return item if isinstance(item, str) else json.dumps(item, ensure_ascii=False, sort_keys=True)
