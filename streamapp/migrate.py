"""The migrate job: `alembic upgrade head` in a given folder, as PGUSER.

Owns nothing but the call; the folder's env.py takes the connection from the environment.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, pool

from streamapp import report


def main(arguments: list[str]) -> int:
    """Emits a progress line a revision and the result {from, revision, applied}."""
    parser = argparse.ArgumentParser(prog="streamapp migrate")
    parser.add_argument("--dir", required=True, type=Path, help="the folder with env.py and versions/")
    folder = parser.parse_args(arguments).dir
    config = Config(stdout=sys.stderr)
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    before = _current()
    command.upgrade(config, "head")
    script = ScriptDirectory.from_config(config)
    applied = [r.revision for r in script.iterate_revisions("head", before or "base")]
    report.result({"from": before, "revision": _current(), "applied": applied[::-1]})
    return 0


def _current() -> str | None:
    engine = create_engine("postgresql+psycopg://", poolclass=pool.NullPool)
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version", schema="bo"):
            return None
        return MigrationContext.configure(connection, opts={"version_table_schema": "bo"}).get_current_revision()
