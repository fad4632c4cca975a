"""`txplan logs`."""

from __future__ import annotations

import click

from engine.cli.common import known_environment, open_target, out

_EPILOG = """\b
Examples:
  txplan logs dev-kim consumer
  txplan logs dev-kim api --follow
  txplan logs manifests/dev-kim.yaml backfill.source --lines 500
"""


@click.command(epilog=_EPILOG)
@click.argument("env")
@click.argument("app")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is added, until Ctrl-C.")
@click.option("--lines", "-n", default=100, show_default=True, type=click.IntRange(0), help="How many lines back.")
def command(env: str, app: str, follow: bool, lines: int) -> None:
    """Show the log of an app (all its replicas), of a server, or of a job.

    APP is `consumer`, `api`, `broker`, or the step whose job ran, such as `backfill.source`.
    """
    from engine.kinds.base import Needs
    from engine.model.diagnostic import Refused, error

    host = Needs(open_target(known_environment(env))).apps
    known = host.log_names()
    if app not in known:
        raise Refused([error("unknown-app", f"{env} has no log of {app!r}.",
                             f"It has those of: {', '.join(known) or 'nothing'}.", "Name one of those.")])
    for line in host.logs(app, follow=follow, lines=lines):
        out(line + "\n")
