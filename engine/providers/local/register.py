"""The environments that live on this machine, by their own records.

Owns: finding them without a manifest or a plan at hand. Must not: take a folder for an environment that its record does
not say it is, or judge whose it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.model.codec import decode
from engine.model.step import Environment
from engine.providers.base import Known
from engine.providers.local.files import read_json
from engine.providers.local.home import Home


class LocalRegister:
    """A Register: the ownership record of the environment's folder."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def note(self, manifest: str) -> None:
        """Keep the manifest's path, now or when the folder is made."""
        self._home.note_manifest(manifest)


def known(state_dir: Path) -> tuple[list[Known], list[Path]]:
    """All environments of the state folder, by name, and the folders whose record does not say what they are."""
    found: list[Known] = []
    nameless: list[Path] = []
    for folder in sorted(path for path in state_dir.expanduser().absolute().glob("envs/*") if path.is_dir()):
        try:
            record = read_json(folder / "group.json")
            if record is not None:
                found.append(_known(record))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            nameless.append(folder)
    return found, nameless


def _known(record: Mapping[str, Any]) -> Known:
    environment: Environment = decode(Environment, record["environment"])
    return Known(replace(environment, tags=dict(record["tags"])), str(record["name"]),
                 datetime.fromisoformat(record["created_at"]), record.get("manifest"))
