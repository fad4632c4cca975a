"""`txplan secret`."""

from __future__ import annotations

import json

import click

from engine.cli.common import json_option, known_environment, open_target, out

_EPILOG = """\b
Examples:
  txplan secret list dev-kim
  printf 'Authorization: Bearer %s' "$(txplan secret show dev-kim api-token)" |
    curl -H @- http://127.0.0.1:PORT/admin/tx/TX_ID
The value goes through a pipe there, since everybody on a machine can read a process's arguments.
"""


@click.group(epilog=_EPILOG)
def command() -> None:
    """List an environment's secrets, or show one."""


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
