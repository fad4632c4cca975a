"""`txplan show`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.common import json_option, out, painter
from engine.render import formats, renderer

_EPILOG = """\b
Examples:
  txplan show review.json
  txplan show review.json --format markdown
"""


@click.command(epilog=_EPILOG)
@click.argument("plan_file", type=click.Path(path_type=Path))
@click.option("--format", "format_", type=click.Choice(formats("plan")), default="text", show_default=True,
              help="How the plan is shown.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 where there are changes.")
@json_option
@click.pass_context
def command(ctx: click.Context, plan_file: Path, format_: str, detailed_exitcode: bool, as_json: bool) -> None:
    """Show a saved plan."""
    from engine.planning.planfile import load_plan

    plan = load_plan(plan_file)
    out(renderer("plan", "json" if as_json else format_)(plan, painter()))
    ctx.exit(plan.exit_code(detailed=detailed_exitcode))
