"""Reads typed values out of a merged tree.

Owns: from a dotted path to a value of the wanted type, its default, and the record of what was read. Must not: stop at
the first finding. A value that cannot be used is stood in for, its path is remembered, and `ok` tells checks to leave
it alone; a manifest with such a value is never handed on.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from engine.assets import asset
from engine.load.profiles import Merged
from engine.load.schema import find, node_at
from engine.load.tree import Node, Route
from engine.model.address import Position
from engine.model.diagnostic import Diagnostic, error
from engine.model.duration import written
from engine.model.value import Value

SAMPLE = "sample:"
"""What a path into the packaged sample begins with."""

MAX_DURATION = timedelta(days=3650)
_V = TypeVar("_V", bound=Value)


class Reader:
    """One pass over a merged tree. `found` are its diagnostics, `values` what was read, by dotted path."""

    def __init__(self, merged: Merged) -> None:
        self._merged = merged
        self._bad = set(merged.bad)
        self.found: list[Diagnostic] = []
        self.values: dict[str, Value] = {}
        self.complete = merged.complete
        """Whether every profile was read; where not, a missing value says nothing."""

    def text(self, path: str, default: str | None = None) -> str:
        """A text; missing without a default is an error."""
        node = self._node(path, required=default is None)
        return self._record(path, str(node.value) if node else default or "")

    def optional(self, path: str) -> str | None:
        """A text, or None."""
        node = self._node(path, required=False)
        return self._record(path, str(node.value)) if node else None

    def integer(self, path: str, default: int | None = None) -> int:
        """A whole number."""
        node = self._node(path, required=default is None)
        return self._record(path, int(node.value) if node and isinstance(node.value, int | float) else default or 0)

    def number(self, path: str, default: float | None = None) -> float:
        """A number."""
        node = self._node(path, required=default is None)
        return self._record(path, float(node.value) if node and isinstance(node.value, int | float) else default or 0.0)

    def flag(self, path: str, default: bool) -> bool:
        """Yes or no."""
        node = self._node(path, required=False)
        return self._record(path, bool(node.value) if node else default)

    def duration(self, path: str) -> timedelta:
        """A duration such as `5m`."""
        node = self._node(path)
        try:
            value = written(str(node.value)) if node else timedelta()
        except ValueError:  # Told by the schema.
            value = timedelta()
        if value > MAX_DURATION:
            self.fail(path, error("out-of-range", f"{path} is longer than {MAX_DURATION.days}d",
                                  mend="write a shorter duration"))
            value = timedelta()
        self._record(path, value.total_seconds())
        return value

    def day(self, path: str) -> date:
        """A day, `YYYY-MM-DD`."""
        node = self._node(path)
        return date.fromisoformat(self._record(path, str(node.value))) if node else date.min

    def instant(self, path: str) -> datetime | None:
        """An instant in UTC, or None for `auto`."""
        text = self.text(path)
        if text in ("auto", ""):
            return None
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            self.fail(path, error("bad-date", f"{path} is no instant: {text}",
                                  mend="write auto, or an instant such as 2026-12-01T00:00:00Z"))
            return None
        if instant.utcoffset() != timedelta():
            self.fail(path, error("not-utc", f"{path} is not in UTC: {text}", rule="P6.3",
                                  mend="write the instant in UTC, with a Z at its end"))
            return None
        self._record(path, instant.astimezone(UTC).isoformat())
        return instant.astimezone(UTC)

    def file(self, path: str) -> str:
        """A path as an absolute one: relative to the file that declares it, or in the packaged sample."""
        node = self._node(path)
        return _absolute(self._record(path, str(node.value)), node.folder) if node else ""

    def files(self, path: str) -> str:
        """As `file`, for a glob: what it is relative to is taken literally."""
        node = self._node(path)
        return _absolute(self._record(path, str(node.value)), node.folder, glob.escape) if node else ""

    def optional_file(self, path: str) -> str | None:
        """As `file`, or None."""
        return self.file(path) if self.has(path) else None

    def texts(self, path: str) -> dict[str, str]:
        """A mapping of texts; numbers and booleans become the text that PostgreSQL reads them by."""
        node = self._node(path, required=False)
        values = {key: _plain(child.value) for key, child in sorted((node.entries or {}).items())
                  if self._usable((*_route(path), key))} if node else {}
        return self._record(path, values)

    def keys(self, path: str) -> Iterator[str]:
        """The keys of the mapping at `path`, sorted, without those that cannot be used."""
        node = self._node(path, required=False)
        for key in sorted(node.entries or {}) if node else ():
            if self._usable((*_route(path), key)):
                yield key

    def has(self, path: str) -> bool:
        """Whether a value stands there, usable or not."""
        return node_at(self._merged.root, _route(path)) is not None

    def ok(self, *paths: str) -> bool:
        """Whether all these values, and all in them, can be relied on."""
        return all(self._usable(_route(path)) and not any(
            bad[:len(_route(path))] == _route(path) for bad in self._bad) for path in paths)

    def fail(self, path: str, problem: Diagnostic) -> None:
        """Report `problem` at `path`, whose value cannot be used from here on."""
        self._bad.add(_route(path))
        self.report(path, problem)

    def report(self, path: str, problem: Diagnostic) -> None:
        """Report `problem` where `path`, or the nearest thing around it, was declared."""
        self.found.append(Diagnostic(problem.severity, problem.code, problem.summary, problem.detail, problem.mend,
                                     self.where(path), problem.address, problem.rule))

    def where(self, path: str) -> Position:
        """Where `path` or its nearest declared parent stands."""
        route = _route(path)
        while route and node_at(self._merged.root, route) is None:
            route = route[:-1]
        return find(self._merged.root, route)

    def positions(self) -> Mapping[str, Position]:
        """Where each value of the tree was declared, by dotted path."""
        return dict(_positions(self._merged.root, ()))

    def _node(self, path: str, *, required: bool = True) -> Node | None:
        route = _route(path)
        if not self._usable(route):
            return None
        node = node_at(self._merged.root, route)
        if node is None and required:
            self._bad.add(route)
            if self.complete:
                self.report("profile", error("missing-key", f"{path} is missing, and no profile has it",
                                             mend=f"add {path}, or build the profile on cloud-test with `extends`"))
        return node

    def _usable(self, route: Route) -> bool:
        return not any(route[:length] in self._bad for length in range(1, len(route) + 1))

    def _record(self, path: str, value: _V) -> _V:
        self.values[path] = value
        return value


def _absolute(text: str, folder: Path, escape: Callable[[str], str] = str) -> str:
    if text.startswith(SAMPLE):
        folder, text = asset("manifests") / "sample", text.removeprefix(SAMPLE)
    return os.path.normpath(Path(escape(str(folder))) / text)


def _route(path: str) -> Route:
    return tuple(path.split(".")) if path else ()


def _plain(value: Value) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _positions(node: Node, route: Route) -> Iterator[tuple[str, Position]]:
    for key, child in (node.entries or {}).items():
        inner = (*route, key)
        yield ".".join(map(str, inner)), node.keys[key] if child.entries is not None else child.at
        yield from _positions(child, inner)
