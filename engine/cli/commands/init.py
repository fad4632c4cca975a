"""`txplan init`."""

from __future__ import annotations

import getpass
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from engine.cli.common import out
from engine.model.diagnostic import Refused, error

_EPILOG = """\b
Examples:
  txplan init                           manifests/dev-<you>.yaml
  txplan init --owner kim --env test --out test.yaml
"""


def _check(path: Path) -> None:
    """What was just written is held against the schema like any manifest; a bad one does not stay."""
    from engine.load import load_manifest

    manifest, found = load_manifest(path, today=datetime.now(UTC).date())
    if manifest is None:
        path.unlink()
        raise Refused(found)


def _me() -> str:
    return re.sub(r"[^a-z0-9]", "", getpass.getuser().lower())[:10] or "me"


@click.command(epilog=_EPILOG)
@click.option("--owner", default=_me, show_default="your user name", help="Whose environment it is.")
@click.option("--env", default="dev", show_default=True, help="dev, test, stage or prod.")
@click.option("--project", default="txlookup", show_default=True, help="The project's token in names and tags.")
@click.option("--team", default="team4", show_default=True, help="The team's token in names.")
@click.option("--ttl-days", default=14, show_default=True, type=click.IntRange(1, 3650),
              help="For how many days the environment may live.")
@click.option("--out", "path", type=click.Path(path_type=Path), help="The file to write.")
def command(owner: str, env: str, project: str, team: str, ttl_days: int, path: Path | None) -> None:
    """Write a first manifest, ready for `txplan plan`."""
    from engine.load import first_manifest

    path = path or Path("manifests") / f"{env}-{owner}.yaml"
    text = first_manifest(owner, env, project, team, datetime.now(UTC).date() + timedelta(days=ttl_days))
    try:
        if path.parent == Path("manifests"):
            path.parent.mkdir(exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
        _check(path)
    except FileExistsError as problem:
        raise Refused([error("exists", f"{path} exists already, and is left as it is.",
                             mend="Name another file with --out.")]) from problem
    except OSError as problem:
        raise Refused([error("unwritable", f"{path} cannot be written: {problem.strerror}.",
                             mend="Name another file with --out.")]) from problem
    out(f"Wrote {path}. Next: txplan plan {path}\n")
