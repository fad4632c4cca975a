"""Reads one YAML file into a tree of values that know where they were written.

Owns: reading the file, its limits, YAML's syntax and scalars. Must not: know what a manifest holds.

Scalars follow YAML 1.2's core schema, so that `no`, `1:30`, `010` and `2026-12-31` are what they look like. The tree is
built from the parser's events, which arrive as they are read: a file that is too deep or too large once its aliases are
counted is refused before it takes any memory.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from engine.model.address import Position
from engine.model.diagnostic import Diagnostic, error
from engine.model.value import Value

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 20_000
SHOWN_DUPLICATES = 100

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PREFIX = "tag:yaml.org,2002:"
_CORE = (
    ("null", re.compile(r"(?:~|null|Null|NULL|)\Z"), "~nN\0"),
    ("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), "tTfF"),
    ("int", re.compile(r"[-+]?[0-9]+\Z"), "-+0123456789"),
    ("float", re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"), "-+.0123456789"),
    ("float", re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"), "-+."),
)


class _Loader(_Base):  # type: ignore[misc]
    """The parser with YAML 1.2's scalars instead of 1.1's."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own name and shape
        first if first != "\0" else "": [(_PREFIX + tag, pattern) for tag, pattern, firsts in _CORE if first in firsts]
        for first in {character for *_, firsts in _CORE for character in firsts}
    }


@dataclass(slots=True)
class Node:
    """A value where it was written: a scalar, a list of nodes, or nodes by key. `folder` is its file's."""

    at: Position
    folder: Path
    value: Value = None
    items: list[Node] | None = None
    entries: dict[str, Node] | None = None
    keys: dict[str, Position] = field(default_factory=dict)
    """Where each key of `entries` was written."""
    size: int = 1
    """How many nodes it stands for, aliases followed."""

    def plain(self) -> Value:
        """The value without positions."""
        if self.entries is not None:
            return {key: node.plain() for key, node in self.entries.items()}
        if self.items is not None:
            return [node.plain() for node in self.items]
        return self.value


Route: TypeAlias = tuple[str | int, ...]
"""Keys and list indices from the root to a value."""


def shorten(text: str) -> str:
    """`text` as it can stand in a message: printable, and of a length that can be read."""
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text[:61])
    return text if len(text) <= 60 else text[:57] + "..."


class _Stop(Exception):
    """The file cannot be read on; carries the one diagnostic that says why."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic


def read_tree(path: Path, shown: str) -> tuple[Node | None, list[Diagnostic]]:
    """The tree of the file at `path`, named `shown` in positions; None where it cannot be read as YAML."""
    found: list[Diagnostic] = []
    try:
        text = _read(path, shown)
        return _Builder(text, path.absolute().parent, shown, found).build(), found
    except _Stop as stop:
        return None, [*found, stop.diagnostic]
    except yaml.YAMLError as problem:
        return None, [*found, _syntax(problem, shown)]


def _read(path: Path, shown: str) -> str:
    start = Position(shown, 1, 1)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise _Stop(error("unreadable", f"{shown} is no regular file", mend="name a YAML file", position=start))
        if status.st_size <= MAX_BYTES:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "its name is not valid"
        raise _Stop(error("unreadable", f"{shown} cannot be read: {reason}", mend="check the path and its permissions",
                          position=start)) from None
    if status.st_size > MAX_BYTES or len(content) > MAX_BYTES:
        raise _Stop(error("too-large", f"{shown} is larger than {MAX_BYTES} bytes",
                          mend="a manifest is short; name large files by their path", position=start))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        before = content[: problem.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1:].decode("utf-8-sig", "replace")) + 1
        raise _Stop(error("not-utf8", f"{shown} is not UTF-8", mend="save the file as UTF-8",
                          position=Position(shown, line, column))) from None


def _syntax(problem: yaml.YAMLError, shown: str) -> Diagnostic:
    mark = getattr(problem, "problem_mark", None) or getattr(problem, "context_mark", None)
    position = Position(shown, mark.line + 1, mark.column + 1) if mark else Position(shown, 1, 1)
    reason = getattr(problem, "problem", None) or getattr(problem, "reason", None) or "cannot be parsed"
    context = getattr(problem, "context", None) or ""
    return error("yaml-syntax", f"not valid YAML: {reason}", detail=context,
                 mend="mend the line, or put a value with special characters in quotes", position=position)


class _Builder:
    """Turns events into nodes, with a bound on depth and on size."""

    def __init__(self, text: str, folder: Path, shown: str, found: list[Diagnostic]) -> None:
        self.loader = _Loader(text)
        self.folder = folder
        self.shown = shown
        self.found = found
        self.anchors: dict[str, Node | None] = {}
        self.size = 0

    def build(self) -> Node | None:
        try:
            return self._document()
        finally:
            self.loader.dispose()

    def _document(self) -> Node | None:
        root: Node | None = None
        for event in self._events():
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise _Stop(error("yaml-syntax", "a second document starts here",
                                      mend="keep one environment a file", position=self._at(event)))
                root = self._node(self._next(), 0)
        return root

    def _events(self) -> Iterator[yaml.Event]:
        while self.loader.check_event():
            yield self._next()

    def _next(self) -> yaml.Event:
        event: yaml.Event = self.loader.get_event()
        return event

    def _at(self, event: Any) -> Position:
        return Position(self.shown, event.start_mark.line + 1, event.start_mark.column + 1)

    def _node(self, event: yaml.Event, depth: int) -> Node:
        at = self._at(event)
        if depth > MAX_DEPTH:
            raise _Stop(error("yaml-bomb", f"nested more than {MAX_DEPTH} levels deep",
                              mend="a manifest needs a few levels only", position=at))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, at)
        anchor = getattr(event, "anchor", None)
        if anchor:
            self.anchors[anchor] = None
        self._count(1, at)
        node = Node(at, self.folder)
        if isinstance(event, yaml.MappingStartEvent):
            self._check_tag(event, "map", at)
            self._mapping(node, depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._check_tag(event, "seq", at)
            node.items = []
            while not isinstance(event := self._next(), yaml.SequenceEndEvent):
                node.items.append(self._node(event, depth + 1))
            node.size += sum(item.size for item in node.items)
        elif isinstance(event, yaml.ScalarEvent):
            node.value = self._scalar(event, at)
        if anchor:
            self.anchors[anchor] = node
        return node

    def _count(self, nodes: int, at: Position) -> None:
        self.size += nodes
        if self.size > MAX_NODES:
            raise _Stop(error("yaml-bomb", f"holds more than {MAX_NODES} values once its aliases are followed",
                              mend="a manifest is short; take the aliases out", position=at))

    def _alias(self, event: yaml.AliasEvent, at: Position) -> Node:
        if event.anchor not in self.anchors:
            raise _Stop(error("yaml-syntax", f"no anchor &{event.anchor} stands before this alias",
                              mend="define the anchor first", position=at))
        node = self.anchors[event.anchor]
        if node is None:
            raise _Stop(error("yaml-syntax", f"the alias *{event.anchor} holds itself", mend="take the alias out",
                              position=at))
        self._count(node.size, at)
        return node

    def _mapping(self, node: Node, depth: int) -> None:
        node.entries = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            at = self._at(event)
            key = self._node(event, depth + 1)
            value = self._node(self._next(), depth + 1)
            node.size += key.size + value.size
            if not isinstance(key.value, str):
                self.found.append(error("wrong-type", "a key must be text", mend="put the key in quotes", position=at))
            elif key.value not in node.entries:
                node.entries[key.value] = value
                node.keys[key.value] = at
            elif len(self.found) < SHOWN_DUPLICATES:
                first = node.keys[key.value]
                self.found.append(error(
                    "yaml-duplicate-key", f"the key {shorten(key.value)} stands here a second time",
                    detail=f"first at {first}", mend="keep one of the two", position=at))

    def _check_tag(self, event: Any, tag: str, at: Position) -> None:
        if event.tag not in (None, "!", _PREFIX + tag):
            self._bad_tag(at)

    def _bad_tag(self, at: Position) -> None:
        self.found.append(error("yaml-tag", "a tag that a manifest cannot hold",
                                mend="take the tag out; plain values are all that is needed", position=at))

    def _scalar(self, event: Any, at: Position) -> Value:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self.loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        kind = tag.removeprefix(_PREFIX) if tag.startswith(_PREFIX) else ""
        if kind not in ("str", "null", "bool", "int", "float"):
            self._bad_tag(at)
            return None
        if kind != "str" and not any(name == kind and pattern.match(event.value) for name, pattern, _ in _CORE):
            self.found.append(error("wrong-type", f"the value is not what its tag !!{kind} says",
                                    mend="take the tag out", position=at))
            return None
        return self._construct(kind, event.value, at)

    def _construct(self, kind: str, text: str, at: Position) -> Value:
        match kind:
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" if len(text) <= 18:
                return int(text)
            case "float" if math.isfinite(number := _float(text)):
                return number
            case "int" | "float":
                self.found.append(error("out-of-range", "the number is too large, or none at all",
                                        mend="write a number that fits", position=at))
                return 0
            case _:
                if not text.isprintable():
                    self.found.append(error("not-allowed", "the text holds a line break or another control character",
                                            mend="write it on one line, in visible characters", position=at))
                    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
                return text


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
