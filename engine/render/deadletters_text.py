"""Dead letters as text and as JSON: whatever came with a record is foreign, and nothing of it is shown as it is."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.kinds.deadletters import Content, Letter
from engine.model.codec import encode
from engine.render.paint import Paint
from engine.render.words import safe

SHOWN = 4096
"""How many bytes of a payload are shown where not all are asked for."""


def lines(letters: Iterable[Letter], paint: Paint) -> Iterator[str]:
    """One line a letter."""
    for one in letters:
        state = paint(f"resolved {one.resolved_at:%Y-%m-%d %H:%M:%SZ}  ", "good") if one.resolved_at else ""
        yield (f"{one.id:>7}  {one.created_at:%Y-%m-%d %H:%M:%SZ}  {paint(safe(one.error_class).ljust(14), 'bad')} "
               f"{place(one)}  {state}{paint(safe(one.error_detail), 'dim')}")


def counts(found: Mapping[str, int]) -> str:
    """How many of each class."""
    total = sum(found.values())
    parts = " · ".join(f"{safe(name)} {count:,}" for name, count in found.items())
    return f"{total:,} dead letter{'' if total == 1 else 's'}{f': {parts}' if parts else ''}"


def place(letter: Letter) -> str:
    """`topic/partition@offset`; of a backfill `file:NAME/0@row`."""
    return f"{safe(letter.topic)}/{letter.partition}@{letter.offset}"


def in_full(found: Content, paint: Paint, limit: int | None) -> Iterator[str]:
    """A letter with its bytes, at most `limit` of them."""
    letter = found.letter
    yield f"{paint('dead letter', 'strong')} {letter.id}"
    yield f"  place     {place(letter)}"
    yield f"  since     {letter.created_at:%Y-%m-%d %H:%M:%SZ}"
    if letter.resolved_at:
        yield f"  resolved  {paint(f'{letter.resolved_at:%Y-%m-%d %H:%M:%SZ}', 'good')}"
    yield f"  why       {paint(safe(letter.error_class), 'bad')}: {safe(letter.error_detail)}"
    yield f"  key       {paint('none', 'dim') if found.key is None else safe(found.key)}"
    if found.payload is None:
        yield f"  payload   {paint('none', 'dim')}"
        return
    cut = found.payload[:limit]
    left = len(found.payload) - len(cut)
    more = f", the first {len(cut):,} are shown; --full shows all" if left else ""
    yield f"  payload   {len(found.payload):,} bytes{more}"
    yield f"    {safe(cut)}"


def as_json(found: Letter | Content) -> dict[str, Any]:
    """A letter's fields; its bytes as base64, since JSON has none."""
    if isinstance(found, Letter):
        return dict(encode(found))
    coded = {name: None if value is None else base64.b64encode(value).decode()
             for name, value in (("key_base64", found.key), ("payload_base64", found.payload))}
    return {**encode(found.letter), **coded}
