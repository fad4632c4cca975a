"""`txplan ui`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.common import (
    actor,
    evidence_folder,
    json_option,
    known_environment,
    now,
    open_target,
    out,
    plan_path,
    say,
    state_dir,
)
from engine.model.diagnostic import Refused, error

if TYPE_CHECKING:
    from engine.ui.reader import Places

_EPILOG = """\b
Examples:
  txplan ui                       all environments that live or were planned here
  txplan ui dev-kim dev-eva       these two
  txplan ui dev-kim --port 8765 --open
"""


@click.command(epilog=_EPILOG)
@click.argument("env", nargs=-1)
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True,
              help="The port on 127.0.0.1; 0 for one that is free.")
@click.option("--allow-actions", is_flag=True, help="Let the page replay a dead letter; without it, it only reads.")
@click.option("--open", "open_", is_flag=True, help="Open the page in this desktop's browser.")
@json_option
def command(env: tuple[str, ...], port: int, allow_actions: bool, open_: bool, as_json: bool) -> None:
    """Serve one page to watch environments by, until Ctrl-C.

    The steps while an apply runs, cutover, lag and freshness, gates, pairs, dead letters, evidence and ttl. ENV are
    manifests, or names of environments; without them, all that live or were planned here. It listens on loopback alone,
    and its address holds a token that is printed once: who has the address can read what the page shows.
    """
    import uvicorn

    from engine.ui.guard import Guard
    from engine.ui.reader import Reader
    from engine.ui.server import application

    reader = Reader(_places(), [known_environment(name).name for name in env])
    with _listening(port) as listener:
        own = int(listener.getsockname()[1])
        guard = Guard(own)
        url = f"http://127.0.0.1:{own}/#token={guard.token}"
        server = uvicorn.Server(uvicorn.Config(
            application(reader, guard, allow_actions=allow_actions), log_level="error", access_log=False,
            server_header=False, ws="none", timeout_graceful_shutdown=2))
        # Whatever ends it, what it has opened is closed; uvicorn passes the signal on when it has stopped.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        if not as_json:
            say(f"Watch {', '.join(reader.names()) or 'what is brought up here'} here; Ctrl-C ends it.")
        out(json.dumps({"event": "Serving", "url": url, "actions": allow_actions}) + "\n" if as_json else
            f"{url}\n")
        with _opened(url) if open_ else contextlib.nullcontext():
            server.run(sockets=[listener])


def _places() -> Places:
    from engine.providers.local import known
    from engine.ui.reader import Places

    folder = state_dir().absolute()
    return Places(lambda: known(folder)[0], open_target, plan_path, lambda name: folder / "journal" / f"{name}.jsonl",
                  evidence_folder, lambda: [p.stem for p in (folder / "plans").glob("*.json")], now, actor())


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """A socket on loopback; Refused where the port is taken."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(128)  # Who has the address may come before the server is ready, and waits.
        except OSError as problem:
            raise Refused([error("port-taken", f"Port {port} cannot be listened on.", problem.strerror or "",
                                 "Name another one, or leave --port out.")]) from problem
        yield listener
    finally:
        listener.close()


@contextlib.contextmanager
def _opened(url: str) -> Iterator[None]:
    """The page in a browser. The token goes by a private file that leads to it, since a browser's arguments are seen by
    every user of this machine."""
    import webbrowser

    from engine.planning.planfile import write_private

    state_dir().mkdir(parents=True, exist_ok=True, mode=0o700)
    leads = Path(state_dir()).absolute() / f"ui-{os.getpid()}.html"
    write_private(leads, f'<!doctype html><meta charset="utf-8"><title>txplan</title>'
                         f'<meta http-equiv="refresh" content="0; url={url}">')
    try:
        if not webbrowser.open(leads.as_uri()):
            say("There is no browser to open it with.")
        yield
    finally:
        leads.unlink(missing_ok=True)
