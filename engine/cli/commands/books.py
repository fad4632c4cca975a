"""`txplan books`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from engine.cli.common import json_option, known_environment, open_target, out, painter

_EPILOG = """\b
Examples:
  txplan books dev-kim          0 they hold, 4 they do not, or nothing was booked
  txplan books dev-kim --json   a line a partition
"""


@click.command(epilog=_EPILOG)
@click.argument("env")
@json_option
@click.pass_context
def command(ctx: click.Context, env: str, as_json: bool) -> None:
    """Show what became of every record that was consumed, partition by partition, and whether all pairs cancel.

    ENV is a manifest, or the name of an environment that was planned here.
    """
    from engine.kinds.base import Needs
    from engine.kinds.books import read_books
    from engine.render.books_text import render

    books = read_books(Needs(open_target(known_environment(env))).database)
    if as_json:
        for partition in books.partitions if books else ():
            out(json.dumps({"event": "Partition", **asdict(partition), "unbooked": partition.unbooked,
                            "passed_over": partition.passed_over, "redelivered": partition.redelivered}) + "\n")
        out(json.dumps({"event": "Books", "off": books.off if books else None, "group": books.group if books else None,
                        "unread": list(books.unread) if books else [], "pairs": dict(books.pairs) if books else {},
                        "unbalanced": books.unbalanced if books else None}) + "\n")
    else:
        out(render(books, painter()))
    ctx.exit(0 if books and books.partitions and not books.unread and books.off == 0 else 4)
