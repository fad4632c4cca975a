"""`txplan guardrails`."""

from __future__ import annotations

import json

import click

from engine.cli.common import json_option, out


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List the rules that every plan is held against."""
    from engine.planning.guardrails import discover

    for rail in discover():
        if as_json:
            out(json.dumps({"rule": rail.rule, "name": rail.name, "meaning": rail.meaning,
                            "overridable": rail.overridable}) + "\n")
        else:
            may = "may be overridden  " if rail.overridable else ""
            out(f"{rail.rule:<6} {rail.name:<24} {may}{rail.meaning}\n")
