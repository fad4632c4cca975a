"""txplan's own command line for one kind more: a 3-ary tree of files on this disk, the same that others are given.

Run: `python -m tests.bench.filetree FOLDER COMMAND…`. It replaces what `discover` finds by two kinds, the files of
`FOLDER/tree-*.yaml` and the environment's group; everything else is what `txplan COMMAND…` does: loading, guardrails,
plan files, lock, journal, and the records by which drift is told. The tree is read by the manifest's own YAML reader,
several files of it, since one of a manifest is of at most 20,000 nodes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import engine.kinds.base
from engine.cli import main
from engine.kinds.resource import ResourceKind
from engine.kinds.wiring import GROUP
from engine.load.tree import read_tree
from engine.model.address import Address
from engine.model.diagnostic import Refused
from engine.model.manifest import Manifest
from engine.model.step import Step
from tests.support.filekind import FileKind

A_FILE_HOLDS = 2_000
"""Steps in one file of the tree."""


class Group(ResourceKind):
    """The environment's group alone: without it nothing is kept of what was applied."""

    def steps(self, manifest: Manifest) -> Iterable[Step]:
        return (step for step in super().steps(manifest) if step.address == GROUP)


class TreeOfFiles(FileKind):
    """Steps `file.<name>`, declared in `<folder>/tree-*.yaml` and realised in `<folder>/files`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "files")
        self._declared = sorted(folder.glob("tree-*.yaml"))

    def steps(self, manifest: Manifest) -> Iterable[Step]:
        for path in self._declared:
            root, problems = read_tree(path, path.name)
            if root is None or problems:
                raise Refused(problems)
            for name, node in (root.entries or {}).items():
                parts = node.entries or {}
                after = [Address("file", str(above.value)) for above in parts["after"].items or ()]
                yield Step(Address("file", name), {"content": parts["content"].value}, frozenset(after or [GROUP]),
                           source=root.keys[name], positions={"content": parts["content"].at})


def write_tree(folder: Path, contents: dict[str, str]) -> None:
    """Declare a 3-ary tree of files with these contents, in the order in which they are given."""
    names = list(contents)
    for first in range(0, len(names), A_FILE_HOLDS):
        lines = []
        for number in range(first, min(first + A_FILE_HOLDS, len(names))):
            above = f"[{names[(number - 1) // 3]}]" if number else "[]"
            lines.append(f'{names[number]}: {{content: "{contents[names[number]]}", after: {above}}}\n')
        (folder / f"tree-{first:06}.yaml").write_text("".join(lines))
    (folder / "files").mkdir(exist_ok=True)


if __name__ == "__main__":
    kinds = {"file": TreeOfFiles(Path(sys.argv.pop(1))), "resource": Group()}
    engine.kinds.base.discover = lambda: dict(kinds)
    main()
