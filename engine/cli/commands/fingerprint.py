"""`txplan fingerprint`."""

from __future__ import annotations

import json

import click

from engine.cli.common import json_option, known_environment, open_target, out

_EPILOG = """\b
Examples:
  txplan fingerprint dev-kim > before     destroy, apply, and:
  txplan fingerprint dev-kim | diff before -
"""


@click.command(epilog=_EPILOG)
@click.argument("env")
@json_option
def command(env: str, as_json: bool) -> None:
    """One hash a table, of what its rows say: equal after a rebuild, or something was lost.

    Where and when a row was ingested plays no part. ENV is a manifest, or the name of an environment that was planned
    here.
    """
    from engine.kinds import wiring
    from engine.kinds.base import Needs
    from engine.kinds.fingerprint import fingerprints

    database = Needs(open_target(known_environment(env))).database
    with database.connect(wiring.MIGRATOR) as connection:
        found = fingerprints(connection)
    for table in found:
        if as_json:
            out(json.dumps({"event": "Fingerprint", "table": table.table, "rows": table.rows, "hash": table.hash})
                + "\n")
        else:
            out(f"{table.hash}  {table.table}  {table.rows:,} rows\n")
