"""Evidence on disk: one file a record, readable by its owner alone, named by the SHA-256 of what it says.

Owns the file's format and its check. Must not: judge what a record says.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from engine.model.codec import decode, encode
from engine.model.diagnostic import Refused, error
from engine.model.evidence import EVIDENCE_VERSION, Evidence
from engine.model.value import digest
from engine.planning.planfile import read_json, write_private

_MEND = "Apply the environment to green gates: that leaves a new record."


def evidence_id(record: Evidence) -> str:
    """The SHA-256 of all that the record says, in hexadecimal."""
    return digest(encode(record))


def save_evidence(record: Evidence, folder: Path) -> Path:
    """Write the record into `folder`; its path. Raises Refused where that cannot be."""
    path = folder / f"{evidence_id(record)}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, json.dumps(encode(record), indent=1, ensure_ascii=False) + "\n")
    except OSError as problem:
        raise Refused([error("evidence-unwritable", f"The evidence cannot be written to {path}.",
                             problem.strerror or "", "Make the folder writable, and apply again.")]) from problem
    return path


def load_evidence(path: Path) -> Evidence:
    """Read and check a record; raises Refused: `no-evidence`, `evidence-unreadable`, `evidence-version`,
    `evidence-partial` with what is missing, `evidence-edited` where it is not what its name says."""
    data = read_json(path, "evidence", _MEND)
    version = data.get("evidence_version") if isinstance(data, dict) else None
    if version != EVIDENCE_VERSION:
        raise Refused([error("evidence-version", f"{path} has evidence format {version!r}; this txplan reads "
                             f"{EVIDENCE_VERSION}.", mend=_MEND)])
    missing = [f.name for f in fields(Evidence) if f.name not in data]
    if missing:
        raise Refused([error("evidence-partial", f"{path} is not whole.", f"It lacks {', '.join(missing)}.", _MEND)])
    if digest(data) != path.stem:
        raise Refused([error("evidence-edited", f"{path} is not as txplan wrote it.",
                             f"Its name says {path.stem[:12]}…, its content is {digest(data)[:12]}….", _MEND)])
    try:
        record: Evidence = decode(Evidence, data)
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise Refused([error("evidence-unreadable", f"{path} is no evidence.", str(problem), _MEND)]) from problem
    return record


def all_evidence(folder: Path) -> list[tuple[Path, Evidence]]:
    """Every record in `folder`, oldest first. Raises Refused at one that is not as it was written."""
    found = [(path, load_evidence(path)) for path in sorted(folder.glob("*.json"))]
    return sorted(found, key=lambda item: item[1].made_at)
