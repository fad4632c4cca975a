"""`txplan status`."""

from __future__ import annotations

import json

import click

from engine.cli.common import json_option, known_environment, open_target, out, painter

_EPILOG = """\b
Examples:
  txplan status dev-kim
  txplan status manifests/dev-kim.yaml --json
"""


@click.command(epilog=_EPILOG)
@click.argument("env")
@json_option
def command(env: str, as_json: bool) -> None:
    """Show how an environment is now: servers, apps, cutover, lag, gates.

    ENV is a manifest, or the name of an environment that was planned here.
    """
    from engine.model.codec import encode
    from engine.planning.status import read_status
    from engine.render.status_text import render

    environment = known_environment(env)
    status = read_status(environment, open_target(environment))
    if as_json:
        data = encode(status)
        if status.cutover:
            from engine.kinds.records import offsets_to_json

            data["cutover"]["start_offsets"] = offsets_to_json(status.cutover.start_offsets)
            data["cutover"]["skew"] = status.cutover.skew.total_seconds()
        out(json.dumps(data, ensure_ascii=False) + "\n")
    else:
        out(render(status, painter()))
