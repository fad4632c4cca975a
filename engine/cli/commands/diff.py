"""`txplan diff`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from engine.cli.common import json_option, out, painter

_EPILOG = """\b
Examples:
  txplan diff reviewed.json again.json
  txplan diff reviewed.json again.json --detailed-exitcode   # 0 the same, 2 otherwise
"""


@click.command(epilog=_EPILOG)
@click.argument("first", type=click.Path(path_type=Path), metavar="PLAN_A")
@click.argument("second", type=click.Path(path_type=Path), metavar="PLAN_B")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 where the second does anything otherwise.")
@json_option
@click.pass_context
def command(ctx: click.Context, first: Path, second: Path, detailed_exitcode: bool, as_json: bool) -> None:
    """Show what PLAN_B does otherwise than PLAN_A.

    Steps that neither of them touches are no difference; who made a plan and when is shown, and is none either.
    """
    from engine.model.codec import encode
    from engine.planning.comparison import compare
    from engine.planning.planfile import load_plan
    from engine.render.comparison_text import render

    found = compare(load_plan(first), load_plan(second))
    out(json.dumps(encode(found), ensure_ascii=False) + "\n" if as_json else render(found, painter()))
    ctx.exit(2 if detailed_exitcode and found else 0)
