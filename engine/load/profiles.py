"""Finds a manifest's profiles and merges them.

Owns: the chain of `profile` and `extends`, and the rule of merging: mappings merge, everything else replaces, and so
does a choice (a mapping of one key) whose key differs. Must not: know what the values mean.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field
from pathlib import Path

from engine.assets import asset
from engine.load.schema import Schema, find
from engine.load.tree import Node, Route, read_tree, shorten
from engine.model.address import Position
from engine.model.diagnostic import Diagnostic, error

_CHOICES = (("backfill", "source"), ("load", "source"))


@dataclass(slots=True)
class Merged:
    """The merged tree; `bad` are routes whose values cannot be used; not `complete` where a profile is missing."""

    root: Node
    bad: set[Route] = field(default_factory=set)
    complete: bool = True


def load_merged(path: Path) -> tuple[Merged | None, list[Diagnostic]]:
    """Read the manifest at `path` and its profiles, check each against the schema, and merge them.

    None where the manifest itself is no YAML mapping.
    """
    schema = Schema()
    bad: set[Route] = set()
    root, found = _read(path, str(path), schema, bad, profile=False)
    if root is None:
        return None, found
    merged = Merged(root, bad, complete=_reference(root, "profile") is not None)
    chain, current, key = [path.absolute()], root, "profile"
    while reference := _reference(current, key):
        target, problem = _locate(reference, current)
        if target and any(_same(target, earlier) for earlier in chain):
            first = next(index for index, earlier in enumerate(chain) if _same(target, earlier))
            shown = " → ".join(display(step) for step in [*chain[first:], target])
            problem = error("profile-cycle", f"profiles extend each other: {shown}", mend="take one `extends` out")
        if target is None or problem:
            assert problem
            found.append(_at(problem, current, key))
            merged.complete = False
            break
        chain.append(target)
        node, more = _read(target, display(target), schema, bad, profile=True)
        found.extend(more)
        if node is None:
            merged.complete = False
            break
        merged.root = merge(node, merged.root, ())
        current, key = node, "extends"
    return merged, found


def _read(path: Path, shown: str, schema: Schema, bad: set[Route], *, profile: bool) -> tuple[
        Node | None, list[Diagnostic]]:
    root, found = read_tree(path, shown)
    if root is not None or not found:
        if root is None or root.entries is None:
            return None, [*found, error("wrong-type", f"{shown} holds no mapping of keys to values",
                                        mend="start with a key, such as project: txlookup",
                                        position=root.at if root else Position(shown, 1, 1))]
        found.extend(schema.check(root, profile=profile, bad=bad))
    return root, found


def _reference(node: Node, key: str) -> str | None:
    value = (node.entries or {}).get(key)
    return value.value if value and isinstance(value.value, str) and value.value else None


def packaged_profiles() -> list[str]:
    """Names of the profiles that travel with txplan."""
    return sorted(path.stem for path in (asset("manifests") / "profiles").glob("*.yaml"))


def _locate(reference: str, declared: Node) -> tuple[Path | None, Diagnostic | None]:
    if "/" in reference or reference.endswith((".yaml", ".yml")):
        path = Path(os.path.normpath(declared.folder / reference))
        try:
            if path.is_file():
                return path, None
        except (OSError, ValueError):
            pass
        return None, error("unknown-profile", f"there is no profile file {shorten(str(path))}",
                           mend="check the path; it is relative to the file that names it")
    known = packaged_profiles()
    if reference in known:
        return asset("manifests") / "profiles" / f"{reference}.yaml", None
    near = difflib.get_close_matches(reference, known, n=1)
    return None, error("unknown-profile", f"there is no profile {shorten(reference)}",
                       mend=f"did you mean {near[0]}?" if near else
                       f"known: {', '.join(known)}; a file of your own is named by its path, such as ./mine.yaml")


def _at(problem: Diagnostic, node: Node, key: str) -> Diagnostic:
    return error(problem.code, problem.summary, problem.detail, problem.mend, position=find(node, (key,)))


def _same(one: Path, other: Path) -> bool:
    return one == other or (one.exists() and other.exists() and one.samefile(other))


def display(path: Path) -> str:
    """`path` as messages show it: relative where it lies below the working directory."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def merge(under: Node, over: Node, route: Route) -> Node:
    """`over` laid on `under`; each value keeps the place where it was declared."""
    if under.entries is None or over.entries is None or (_is_choice(route) and set(under.entries) != set(over.entries)):
        return over
    entries, keys = dict(under.entries), dict(under.keys)
    for key, node in over.entries.items():
        entries[key] = merge(entries[key], node, (*route, key)) if key in entries else node
        keys[key] = over.keys[key]
    return Node(over.at, over.folder, entries=entries, keys=keys)


def _is_choice(route: Route) -> bool:
    return route in _CHOICES or (len(route) == 2 and route[0] == "secrets")
