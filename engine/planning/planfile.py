"""Plan files: a plan on disk, readable by its owner alone, written whole or not at all.

Owns the file format (`schemas/plan.schema.json`) and where the last reviewed plan lies. A plan holds no secret.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from engine.assets import asset
from engine.model.codec import decode, encode
from engine.model.diagnostic import Refused, error
from engine.model.plan import FORMAT_VERSION, Plan
from engine.model.value import digest

_BY_HAND = "Plan files are not edited by hand: plan again."


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """The plan as the schema describes it, with the digest by which an edit is seen."""
    data: dict[str, Any] = encode(plan)
    return {**data, "digest": digest(data)}


def plan_id(plan: Plan) -> str:
    """Names a plan: the first 16 hexadecimal digits of the digest of all that it says."""
    return str(plan_to_json(plan)["digest"])[:16]


def write_private(path: Path, text: str) -> None:
    """Write a file with mode 0600, atomically and through to the disk; its folder must be there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_plan(plan: Plan, path: Path) -> None:
    """Write the plan to `path`; raises Refused where that cannot be."""
    try:
        write_private(path, json.dumps(plan_to_json(plan), ensure_ascii=False) + "\n")
    except OSError as problem:
        raise Refused([error("plan-unwritable", f"The plan cannot be written to {path}.", problem.strerror or "",
                             "Name another file with --out.")]) from problem


def read_json(path: Path, what: str, mend: str) -> Any:
    """The JSON of a file that should be a `what`; raises Refused (`no-<what>`, `<what>-unreadable`)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as problem:
        raise Refused([error(f"no-{what}", f"There is no {what} file {path}.", mend=mend)]) from problem
    except (OSError, ValueError, RecursionError) as problem:
        raise Refused([error(f"{what}-unreadable", f"{path} is no {what} file.", str(problem), mend)]) from problem


def load_plan(path: Path) -> Plan:
    """Read and check a plan file; raises Refused with what is wrong with it."""
    return load_named(path)[0]


def load_named(path: Path) -> tuple[Plan, str]:
    """As `load_plan`, with the plan's id: its digest was checked, so that a large plan need not be digested twice."""
    data = read_json(path, "plan", "Make one: txplan plan MANIFEST --out FILE")
    version = data.get("format_version") if isinstance(data, dict) else None
    if version != FORMAT_VERSION:
        raise Refused([error("plan-version", f"{path} has plan format {version!r}; this txplan reads {FORMAT_VERSION}.",
                             mend="Plan again with this version.")])
    said = data.pop("digest", None)
    if digest(data) != said:
        raise _edited(path, {**data, "digest": said})
    try:
        plan: Plan = decode(Plan, data)
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise Refused([error("plan-invalid", f"{path} is no valid plan.", str(problem), _BY_HAND)]) from problem
    return plan, str(said)[:16]


def _edited(path: Path, data: dict[str, Any]) -> Refused:
    """Why a plan that is not as txplan wrote it is refused: where the schema says what is wrong with it, that.

    The schema is not asked about every plan: to walk it takes longer than all else that is done with a large one, and
    a plan whose digest is right has been written by its rules.
    """
    from jsonschema import Draft202012Validator

    schema = json.loads((asset("schemas") / "plan.schema.json").read_text(encoding="utf-8"))
    problems = sorted(Draft202012Validator(schema).iter_errors(data), key=lambda e: list(map(str, e.absolute_path)))
    if problems:
        return Refused([error("plan-invalid", f"{path} is no valid plan: {p.message[:200]}",
                              f"At {'/'.join(map(str, p.absolute_path)) or 'the top'}.", _BY_HAND)
                        for p in problems[:10]])
    return Refused([error("plan-edited", f"{path} is not as txplan wrote it.",
                          "What it shows may not be what it does.", "Plan files are not edited: plan again.")],
                   exit_code=5)
