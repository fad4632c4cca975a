"""Private files: written whole or not at all, readable by their owner alone.

Owns: atomic writes, file locks, reading JSON records. Must not: know what the files mean.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def write_private(path: Path, content: bytes | str, owner: tuple[int, int] | None = None) -> None:
    """Replace `path` (mode 0600, owned by (uid, gid) where given) in one step; after a crash it holds the old content
    or the new, never a part."""
    data = content.encode() if isinstance(content, str) else content
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            if owner is not None:
                os.fchown(descriptor, *owner)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in `path`, or None where there is no such file."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not isinstance(value, dict):
        raise ValueError(f"{path} does not hold an object")
    return value


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write an object for `read_json`."""
    write_private(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold `path` as a lock against other threads and processes; free again when the holder dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove_if_empty(folder: Path) -> bool:
    """Remove `folder` where nothing is in it; says whether it is gone."""
    with suppress(OSError):
        folder.rmdir()
    return not folder.exists()
