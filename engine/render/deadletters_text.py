"""Dead letters as text and as JSON.

Owns the escaping: whatever came with a record is foreign, and nothing of it reaches a terminal as it is.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.kinds.deadletters import Content, Letter
from engine.model.codec import encode
from engine.render.paint import Paint

SHOWN = 4096
"""How many bytes of a payload are shown where not all are asked for."""


def safe(text: str | bytes) -> str:
    """The text with everything that is not plainly printable escaped: control characters, what turns the direction of
    writing, line breaks, the backslash itself, and bytes that are no UTF-8."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    return "".join(_escaped(c) if c == "\\" or not c.isprintable() else c for c in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # A byte that is no UTF-8, as `surrogateescape` keeps it.
        return f"\\x{code - 0xDC00:02x}"
    return "\\\\" if char == "\\" else {10: "\\n", 13: "\\r", 9: "\\t"}.get(code) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


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
