"""`txplan evidence`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.common import (
    environment_name,
    evidence_folder,
    json_option,
    open_target,
    out,
    painter,
    plan_path,
)
from engine.cli.options import Duration
from engine.model.diagnostic import Diagnostic, Refused, error
from engine.render import formats, renderer

if TYPE_CHECKING:
    from engine.model.evidence import Evidence

_EPILOG = """\b
Examples:
  txplan evidence list dev-kim
  txplan evidence show dev-kim --format markdown > evidence.md
  txplan evidence verify dev-kim --max-age 24h
"""


@click.group(epilog=_EPILOG)
def command() -> None:
    """What green applies proved: list, show or verify it.

    Every whole apply that ends green leaves a record, named by the SHA-256 of what it says. ENV is a manifest, or an
    environment's name; a record's file may stand in its place.
    """


@command.command("list")
@click.argument("env")
@json_option
def list_(env: str, as_json: bool) -> None:
    """The records of an environment, oldest first."""
    from engine.planning.evidence import green

    for path, record in _records(env):
        if as_json:
            out(json.dumps({"id": path.stem, "made_at": record.made_at.isoformat(), "run": record.run,
                            "head": record.head, "code": record.code, "green": not green(record)}) + "\n")
        else:
            out(f"{path.stem[:12]}  {record.made_at:%Y-%m-%d %H:%M:%SZ}  schema {record.head}  "
                f"code {record.code[:12]}  {len(record.proofs)} proofs  run {record.run}\n")


@command.command("show")
@click.argument("env")
@click.argument("id_", required=False, metavar="[ID]")
@click.option("--format", "format_", type=click.Choice(formats("evidence")), default="text", show_default=True)
@json_option
def show(env: str, id_: str | None, format_: str, as_json: bool) -> None:
    """A record; the newest where no ID is given. A part of the ID is enough."""
    path, record = _one(env, id_)
    out(renderer("evidence", "json" if as_json else format_)(path.stem, record, painter()))


@command.command("verify")
@click.argument("env")
@click.argument("id_", required=False, metavar="[ID]")
@click.option("--max-age", type=Duration(), default="24h", show_default=True, help="How old its oldest proof may be.")
@json_option
def verify(env: str, id_: str | None, max_age: timedelta, as_json: bool) -> None:
    """Whether a record is whole, as it was written, green, fresh, and still true of what is live.

    A record given as a file is not held against the live environment, which may be elsewhere. Exits 1 where it fails,
    and names what fails.
    """
    from engine.planning.evidence import problems

    path, record = _one(env, id_)
    found: list[Diagnostic] = problems(record, datetime.now(UTC), max_age)
    away = Path(env).suffix == ".json"
    if not away:
        found += _moved(record)
    if found:
        raise Refused(found)
    told = {"id": path.stem, "environment": record.environment.name, "proofs": len(record.proofs), "live": not away}
    out(json.dumps(told) + "\n" if as_json else
        f"{record.environment.name}: evidence {path.stem[:12]} is whole, green and fresh: {len(record.proofs)} proofs, "
        f"schema {record.head}, code {record.code[:12]}{'' if away else '; what is live is what it says'}.\n")


def _records(env: str) -> Iterable[tuple[Path, Evidence]]:
    from engine.planning.evidence_file import all_evidence

    name = environment_name(env)
    found = all_evidence(evidence_folder(name))
    if not found:
        raise Refused([error("no-evidence", f"There is no evidence of {name} here.",
                             mend="A whole apply that ends green leaves it: txplan apply MANIFEST")])
    return found


def _one(env: str, part: str | None) -> tuple[Path, Evidence]:
    from engine.planning.evidence_file import load_evidence

    if Path(env).suffix == ".json":
        return Path(env), load_evidence(Path(env))
    found = [(path, record) for path, record in _records(env) if part is None or path.stem.startswith(part)]
    if not found:
        raise Refused([error("no-evidence", f"No record of {env} is called {part!r}.",
                             mend=f"See them: txplan evidence list {env}")])
    return found[-1]


def _moved(record: Evidence) -> list[Diagnostic]:
    from engine.kinds.base import discover
    from engine.planning.evidence import moved
    from engine.planning.planfile import load_plan
    from engine.planning.recheck import live_of

    plan = load_plan(plan_path(record.environment.name))
    return moved(record, live_of(plan, discover(), open_target(record.environment)))
