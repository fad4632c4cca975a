"""Processes that die with this one, whose secrets are in no argument list."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.providers.local import launch


def start(command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Run in `folder` with exactly this environment; both outputs go to `log`."""
    program = {"command": list(command), "directory": str(folder), "user": None, "environment": dict(environment),
               "parent": os.getpid(), "input": ""}
    with log.open("ab") as output:
        process = subprocess.Popen([sys.executable, "-I", "-S", launch.__file__, "-"], stdin=subprocess.PIPE,
                                   stdout=output, stderr=output, start_new_session=True,
                                   env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"})
    assert process.stdin is not None
    with process.stdin as pipe:
        pipe.write(json.dumps(program).encode())
    return process
