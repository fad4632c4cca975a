"""`python -m streamapp JOB`: finds the job's function and turns its problems into exit codes.

Owns the table of jobs and the exit codes: 0 done, 1 error, 2 wrong usage, 143 ended by SIGTERM. Must not
import a job that is not asked for: each starts with what it needs alone.
"""

from __future__ import annotations

import importlib
import sys

from streamapp import report
from streamapp.settings import SettingsError

# Name to "module:function"; the function takes the remaining arguments and returns the exit code.
JOBS = {
    "backfill": "streamapp.backfill.run:main",
    "feed": "streamapp.feed:main",
    "migrate": "streamapp.migrate:main",
    "reconcile": "streamapp.reconcile.run:main",
    "consumer": "streamapp.app:main",
    "api": "streamapp.api.server:main",
    "smoke": "streamapp.smoke:main",
    "load": "streamapp.load:main",
    "replay": "streamapp.replay:main",
}


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in JOBS:
        sys.stderr.write(f"usage: python -m streamapp {{{'|'.join(JOBS)}}}\n")
        return 2
    module, function = JOBS[arguments[0]].split(":")
    try:
        code: int = getattr(importlib.import_module(module), function)(arguments[1:])
        return code
    except SettingsError as problem:
        report.error(report.JobError("settings", "the environment variables are not usable", str(problem)))
    except report.JobError as problem:
        report.error(problem)
    except Exception as problem:
        # A bug, or a fault that no job expects: the one who waits for a line still gets one. Its type alone,
        # since a message may quote a row; the traceback is for the log.
        report.error(report.JobError("internal", "the job failed unexpectedly", type(problem).__name__))
        raise
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
