"""What a credential looks like, wherever it stands: pure functions of text.

Owns: the shapes that are refused in a manifest and in a plan (P3.2: secrets live in a vault). Must not: show, keep or
hand on the text that it looks at; an answer names a shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from engine.model.value import Value

_SHAPES = (
    ("a connection string with a key", re.compile(r"(?i)\b(account|shared\s?access)\s?(key|signature)\s*=\s*\S")),
    ("a password in a connection string", re.compile(r"(?i)\b(password|passwd|pwd)\s*=\s*\S")),
    ("a password in a URL", re.compile(r"(?i)\b[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@")),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    ("a token", re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.|\b(gh[pousr]_[A-Za-z0-9]{30,}|xox[abprs]-[\w-]{10,}"
                           r"|AKIA[0-9A-Z]{16}|glpat-[\w-]{20,})")),
)
_KEY = re.compile(r"(?i)(^|[._-])(password|passwd|secret|token|api[._-]?key|private[._-]?key)$")


def shape_of(text: str) -> str:
    """What kind of credential the text looks like; empty where it looks like none."""
    return next((shape for shape, pattern in _SHAPES if pattern.search(text)), "")


def credentials(path: str, value: Value, *, named: bool = False) -> Iterator[tuple[str, str]]:
    """Dotted path and shape of each text in `value` that looks like a credential; with `named` also of each whose key
    says that it is one, for mappings whose keys are the user's own."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from credentials(f"{path}.{key}", inner, named=named)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from credentials(f"{path}.{number}", inner, named=named)
    elif isinstance(value, str) and value:
        shape = shape_of(value) or ("a credential by its name" if named and _KEY.search(path) else "")
        if shape:
            yield path, shape
