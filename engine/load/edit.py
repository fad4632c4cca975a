"""Edits one value of a manifest's text in place: what else stands there, comments and spaces too, stays as it is.

Owns: the ttl's replacement. Must not: write a file that says anything otherwise than before but for that.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from datetime import date
from pathlib import Path

from engine.load import load_manifest
from engine.model.diagnostic import Refused, error
from engine.model.manifest import Manifest

_DAY = re.compile(r"(['\"]?)(\d{4}-\d{2}-\d{2})\1")


def with_ttl(text: str, manifest: Manifest, ttl: date) -> str:
    """The manifest's text with another ttl; raises Refused where it is not written there as a plain day."""
    at, lines = manifest.where("ttl"), text.split("\n")
    here = at.file == manifest.file and at.line <= len(lines)
    found = _DAY.match(lines[at.line - 1], at.column - 1) if here else None
    if found is None or found[2] != manifest.ttl.isoformat():
        raise Refused([error("ttl-elsewhere", "The ttl does not stand in the manifest as a plain day.",
                             f"It comes from {at}.", "Change it there by hand.", position=at, rule="P3.3")])
    line = lines[at.line - 1]
    lines[at.line - 1] = f"{line[:found.start(2)]}{ttl.isoformat()}{line[found.end(2):]}"
    return "\n".join(lines)


def write_manifest(path: Path, text: str, manifest: Manifest, ttl: date, *, today: date) -> None:
    """Replace the file in one step, with its mode and through a link, where it then says the same but for the ttl;
    raises Refused, and leaves it as it was, where it does not."""
    real = path.resolve()
    try:
        descriptor, name = tempfile.mkstemp(".yaml", f".{real.name}.", real.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w", newline="", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())  # A power cut leaves the manifest as it was, or as it shall be.
            shutil.copymode(real, temporary)
            again, _ = load_manifest(temporary, today=today)
            if again is None or dict(again.values) != {**manifest.values, "ttl": ttl.isoformat()}:
                raise Refused([error("edit-failed", f"{path} would say something else than its new ttl.",
                                     mend="Change the ttl by hand.", rule="P3.3")])
            temporary.replace(real)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as problem:
        raise Refused([error("manifest-unwritable", f"{path} cannot be written.", problem.strerror or "",
                             "Make it writable, or change the ttl by hand.")]) from problem
