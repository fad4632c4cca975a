"""Frozen data to JSON values and back, by the types' own fields: one way for plans, events and the journal."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import Any

from engine.model.address import Address

_PLAIN = frozenset({str, int, float, bool, type(None)})
"""What is the same in JSON."""


def encode(value: Any) -> Any:
    """A JSON value of any of the model's data; sets are sorted, so equal data gives equal JSON."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Address):
        return str(value)
    type_: Any = type(value)
    if names := _field_names(type_):
        return {name: encode(getattr(value, name)) for name in names}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(k): encode(v) for k, v in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(encode(v) for v in value)
    if isinstance(value, list | tuple):
        return [encode(v) for v in value]
    return value


@cache
def _field_names(type_: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(type_)) if is_dataclass(type_) else ()


def decode(wanted: Any, value: Any) -> Any:
    """The inverse of `encode` for the type `wanted`. Raises ValueError, KeyError or TypeError on foreign data."""
    if wanted in _PLAIN:
        return _plain(wanted, value)
    if wanted is Address:
        return Address.parse(value)
    if wanted is datetime:
        return datetime.fromisoformat(value)
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return wanted(value)
    if is_dataclass(wanted):
        return _decode_dataclass(wanted, value)
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (types.UnionType, typing.Union):
        inner = [a for a in arguments if a is not type(None)]
        return decode(inner[0], value) if value is not None and len(inner) == 1 else value
    if origin is tuple:
        return tuple(decode(arguments[0], v) for v in value)
    if origin is frozenset:
        return frozenset(decode(arguments[0], v) for v in value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {k: decode(arguments[1], v) for k, v in value.items()}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return [decode(arguments[0], v) for v in value]
    return value


def _plain(wanted: Any, value: Any) -> Any:
    """The value, which is of the wanted type; a whole number is a number too."""
    if type(value) is wanted or (wanted is float and type(value) is int):
        return value
    raise TypeError(f"{value!r} is no {wanted.__name__}")


def _decode_dataclass(wanted: Any, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise TypeError(f"{wanted.__name__} is an object, not {type(value).__name__}")
    hints = _hints(wanted)
    return wanted(**{name: decode(hints[name], value[name]) for name in hints if name in value})


@cache
def _hints(wanted: Any) -> dict[str, Any]:
    return typing.get_type_hints(wanted)
