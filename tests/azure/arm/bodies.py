"""Pure functions of request bodies: look into, compare, merge, fill in."""

from __future__ import annotations

import copy
from typing import Any


def value_at(body: Any, path: str) -> Any:
    for part in path.split("."):
        body = body.get(part) if isinstance(body, dict) else None
    return body


def normal(value: Any) -> Any:
    """As services compare: no case in strings, empty is absent."""
    if isinstance(value, str):
        return value.lower().rstrip("/")
    if isinstance(value, dict):
        return {key: normal(item) for key, item in value.items() if item not in (None, [], {})}
    return [normal(item) for item in value] if isinstance(value, list) else value


def merged(old: Any, new: Any) -> Any:
    """JSON merge: objects are joined, all else is replaced; null removes."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return copy.deepcopy(new)
    result = {key: value for key, value in copy.deepcopy(old).items() if key not in new or new[key] is not None}
    return result | {key: merged(old.get(key), value) for key, value in new.items() if value is not None}


def filled(values: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """Defaults where nothing, or null, was put."""
    for key, value in defaults.items():
        if values.get(key) is None:
            values[key] = copy.deepcopy(value)
    return values
