"""From a YAML file to a manifest, or to everything that is wrong with it.

Owns: `load_manifest`, and what is given to those who write one: the schema and a first manifest. Must not: read
anything live (the target, the clock, the environment's variables).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from engine.load.build import build
from engine.load.checks import check
from engine.load.first import first_manifest
from engine.load.profiles import load_merged
from engine.load.reader import Reader
from engine.load.schema import environment_schema
from engine.model.address import Position
from engine.model.diagnostic import Diagnostic, Severity
from engine.model.manifest import Manifest

__all__ = ["environment_schema", "first_manifest", "load_manifest"]


def load_manifest(path: Path, *, today: date) -> tuple[Manifest | None, list[Diagnostic]]:
    """Read, merge and check the manifest at `path`.

    Returns it, or None where any diagnostic is an error, and all diagnostics in the order of files and lines. Never
    raises for what a file holds. `today` is the day (UTC) that the ttl is held against (P3.3).
    """
    merged, found = load_merged(path)
    manifest = None
    if merged is not None:
        reader = Reader(merged)
        manifest = build(reader, str(path))
        check(manifest, reader, today)
        found.extend(reader.found)
    found.sort(key=lambda diagnostic: (diagnostic.position or Position("", 0, 0), diagnostic.code))
    broken = any(diagnostic.severity is Severity.ERROR for diagnostic in found)
    return None if broken else manifest, found
