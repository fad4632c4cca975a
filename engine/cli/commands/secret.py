"""`txplan secret`."""

from __future__ import annotations

import json
from datetime import timedelta

import click

from engine.cli.common import json_option, known_environment, open_target, out
from engine.cli.options import Duration

_EPILOG = """\b
Examples:
  txplan secret list dev-kim
  printf 'Authorization: Bearer %s' "$(txplan secret show dev-kim api-token)" |
    curl -H @- http://127.0.0.1:PORT/admin/tx/TX_ID
  txplan secret rotate dev-kim api-token
The value goes through a pipe, since everybody on a machine can read a process's arguments.
"""


@click.group(epilog=_EPILOG)
def command() -> None:
    """List an environment's secrets, show or rotate one."""


@command.command("list")
@click.argument("env")
@json_option
def list_(env: str, as_json: bool) -> None:
    """Names, versions and fingerprints; never a value."""
    from engine.kinds.base import Needs

    vault = Needs(open_target(known_environment(env))).secrets
    for name in vault.names():
        found = vault.describe(name)
        if found is None:
            continue
        if as_json:
            out(json.dumps({"name": name, "version": found.version, "fingerprint": found.fingerprint}) + "\n")
        else:
            out(f"{name:<24} version {found.version}  {found.fingerprint}\n")


@command.command("show")
@click.argument("env")
@click.argument("name")
def show(env: str, name: str) -> None:
    """Write a secret's value to standard output."""
    from engine.kinds.base import Needs

    out(Needs(open_target(known_environment(env))).secrets.get(name) + "\n")


_ROTATE_EPILOG = """\b
Examples:
  txplan secret rotate dev-kim api-token                   show the stages, ask, and rotate
  txplan secret rotate dev-kim api-token --overlap 15m     clients have a quarter of an hour
  txplan secret rotate dev-kim postgres-api --auto-approve
A rotation that was cut off goes on when it is called again.
"""


@command.command("rotate", epilog=_ROTATE_EPILOG)
@click.argument("env")
@click.argument("name")
@click.option("--overlap", type=Duration(), default=timedelta(minutes=1), metavar="DURATION",
              help="How long clients may still present the old api-token; 1m where not said.")
@click.option("--auto-approve", is_flag=True, help="Rotate without asking.")
@json_option
def rotate_(env: str, name: str, overlap: timedelta, auto_approve: bool, as_json: bool) -> int:
    """Give a secret a new value without an outage.

    NAME is api-token, or a login's password: postgres-api, postgres-consumer, postgres-migrator, postgres-admin. The
    new value is accepted beside the old one before anybody has to use it, and the old one is refused at the end.
    """
    from engine.cli.rotating import rotate

    return rotate(env, name, overlap=overlap, approved=auto_approve, as_json=as_json)
