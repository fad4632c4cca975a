"""The service's code as the engine knows it: files and their digest, without importing it."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import cache
from pathlib import Path


@cache
def code_digest() -> str:
    """SHA-256 over the service's source files, by name and content."""
    hashed = hashlib.sha256()
    for name, path in service_files().items():
        hashed.update(f"{name}\0".encode())
        hashed.update(path.read_bytes())
    return hashed.hexdigest()


def service_files() -> dict[str, Path]:
    """The service's source files by their names below its folder, sorted; it is found without importing it."""
    spec = importlib.util.find_spec("streamapp")
    assert spec is not None and spec.origin is not None
    root = Path(spec.origin).parent
    return {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*.py"))}
