"""Becomes a program: reads what to run from a private file or standard input, and executes it.

Run as a script, with the path of a JSON file or `-`: {"command": [...], "environment": {...}, "directory": str,
"user": str or null, "parent": pid or null, "input": str}. So no secret is ever in an argument or in the
supervisor's own configuration. Standard library only: it runs before every start. With `parent` the program dies with
that process; `input` (at most some KiB) is its standard input where the description came by ours.
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1


def main(source: str) -> None:
    """Never returns."""
    program = _read(source)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SUPERVISOR_")} | program["environment"]
    if program["user"] is not None:
        account = pwd.getpwnam(program["user"])
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
        environment["HOME"] = program["directory"]
    os.chdir(program["directory"])
    os.umask(0o077)
    if program["parent"] is not None:
        # After the change of user, which would clear it.
        _die_with(program["parent"])
    os.execvpe(program["command"][0], program["command"], environment)


def _read(source: str) -> dict[str, Any]:
    if source != "-":
        with open(source, "rb") as file:  # noqa: PTH123 - pathlib would double the time of a start
            return dict(json.load(file))
    program = dict(json.loads(sys.stdin.buffer.read()))
    reader, writer = os.pipe()
    os.write(writer, program["input"].encode())
    os.close(writer)
    os.dup2(reader, 0)
    os.close(reader)
    return program


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent is gone")


if __name__ == "__main__":
    main(sys.argv[1])
