"""How values, facts and places are put in words: the same in every renderer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.model.diagnostic import Diagnostic, Severity
from engine.model.difference import in_full
from engine.render.paint import Paint


def value(item: Any) -> str:
    """A value on one line; what is known only after apply says so."""
    return in_full(item)


def facts(mapping: Mapping[str, Any]) -> str:
    """`key value · key value`, nested values as JSON."""
    return " · ".join(f"{key} {value(item)}" for key, item in mapping.items())


def diagnostic(found: Diagnostic, paint: Paint) -> str:
    """What, why, where and the mend, over a few lines."""
    role = "bad" if found.severity is Severity.ERROR else "warn"
    rule = f" [{found.rule}]" if found.rule else ""
    lines = [f"{paint(found.severity.value, role)}: {found.summary} {paint(f'({found.code}){rule}', 'dim')}"]
    if found.position:
        lines.append(f"  at {found.position}")
    elif found.address:
        lines.append(f"  at {found.address}")
    if found.detail:
        lines += [f"  {line}" for line in found.detail.splitlines()]
    if found.mend:
        lines.append(f"  {paint('mend:', 'info')} {found.mend}")
    return "\n".join(lines)


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
