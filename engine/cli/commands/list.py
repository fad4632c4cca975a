"""`txplan list`."""

from __future__ import annotations

import json

import click

from engine.cli.common import json_option, out, painter

_EPILOG = """\b
Examples:
  txplan list
  txplan list --json   one object a line
"""

WARN_DAYS = 3


@click.command(epilog=_EPILOG)
@click.option("--warn-days", type=click.IntRange(0), default=WARN_DAYS, show_default=True,
              help="From so many days before its end a ttl is marked.")
@json_option
def command(warn_days: int, as_json: bool) -> None:
    """Show every live environment: owner, age, ttl, health.

    Also its target and profile, who locks it, and its orphans. All of it is read from the environments themselves.
    """
    from engine.cli.known import look
    from engine.model.codec import encode
    from engine.render.listing_text import render

    found = [one.listed for one in look()]
    if not as_json:
        out(render(found, warn_days, painter()))
        return
    for one in found:
        out(json.dumps({"event": "Environment", **encode(one), "expired": one.expired}, ensure_ascii=False) + "\n")
