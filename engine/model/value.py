"""Values that specs, observations and plans are made of.

A value is JSON: null, bool, int, float, str, list, object. Two things are written as tagged objects: a value that is
known only after apply, and a reference to a secret. A secret's text is never a value.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Value: TypeAlias = bool | int | float | str | Sequence[Any] | Mapping[str, Any] | None
Attributes: TypeAlias = Mapping[str, Value]

UNKNOWN: Mapping[str, Any] = {"$unknown": True}
"""Stands for a value that is known only after apply."""


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A secret by name; version counts its rotations, fingerprint decides whether it changed."""

    name: str
    version: int
    fingerprint: str


def canonical(value: Value) -> str:
    """The one JSON text of a value: sorted keys, no white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Value) -> str:
    """SHA-256 of the canonical text, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()
