"""Addresses: the name of a step in a graph, and the place of a value in a file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """`kind.name`, unique in an environment; sorted wherever order is otherwise free."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}.{self.name}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `kind.name`; raises ValueError where the dot or either part is missing."""
        kind, dot, name = text.partition(".")
        if not (kind and dot and name):
            raise ValueError(f"{text!r} is no address; an address is kind.name, such as resource.postgres")
        return cls(kind, name)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a value was written: file, 1-based line and 1-based column."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"
