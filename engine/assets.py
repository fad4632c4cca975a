"""Finds the files that travel with txplan: schemas, manifests, migrations.

Owns: the difference between a wheel (they lie in this package's `assets` folder) and a clone (they lie at the root of
the repository). Must not: read them.
"""

from __future__ import annotations

from pathlib import Path


def asset(name: str) -> Path:
    """The folder `name` (`schemas`, `manifests` or `migrations`)."""
    packaged = Path(__file__).with_name("assets") / name
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / name
