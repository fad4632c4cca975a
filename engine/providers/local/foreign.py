"""What lies or runs in an environment's folders that txplan did not put there, and what would go with them.

Owns: telling the environment's own files and processes from others. Must not: end or remove anything, or judge.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from engine.providers.base import Foreign
from engine.providers.local import strays
from engine.providers.local.home import Home
from engine.providers.local.jobs import JOB
from engine.providers.local.processes import Processes
from engine.providers.local.supervisor import is_supervisor

_HOME = frozenset({"apps", "broker", "group.json", "jobs", "keys", "logs", "ports.json", "programs", "records", "run",
                   "supervisor", "vault", ".ports.lock", ".processes.lock"})
_RUNTIME = frozenset({"instance.json", "postgres", "server", "server.new"})
# Files that are written aside and renamed are called so until then.
_ASIDE = "."


def in_group(home: Home, processes: Processes, group: Mapping[str, Any]) -> list[Foreign]:
    """All that is foreign in a group: its own marks, files, and processes."""
    found = [Foreign(f"the group {group['name']}", why) for why, mark in (
        ("platform-managed", group.get("managed_by")), ("locked", group.get("locked"))) if mark]
    found += [Foreign(f"file {path}", "foreign") for path in _files(home)]
    found += [Foreign(f"program {name} under the supervisor", "foreign") for name in processes.strangers()]
    return found + [Foreign(f"process {p.pid} ({p.name()})", "foreign") for p in _processes(home)]


def _files(home: Home) -> Iterator[Path]:
    for folder, own in ((home.path, _HOME), (home.runtime, _RUNTIME)):
        if folder.is_dir():
            yield from (path for path in sorted(folder.iterdir())
                        if path.name not in own and not path.name.startswith(tuple(f"{_ASIDE}{o}." for o in own)))


def _processes(home: Home) -> list[psutil.Process]:
    suspects = _suspects(home, _own(home.instance))
    # Servers fork all the time, the more so while they are observed: what was born after the first look is known by a
    # second one, and what has ended since is nobody's.
    own = _own(home.instance) if suspects else set()
    return [process for process in suspects if process.pid not in own and strays.lives(process.pid)]


def _own(instance: str) -> set[int]:
    found = strays.find(instance)
    supervisors = {p.pid for p in found if is_supervisor(p)}
    return supervisors | {p.pid for p in found if _ours(p, supervisors)}


def _suspects(home: Home, own: set[int]) -> list[psutil.Process]:
    """What carries the environment's instance or works in its folders, and is none of `own` nor on the way to us."""
    instance, roots = home.instance, (str(home.path), str(home.runtime))
    passed_over = {os.getpid(), *(p.pid for p in psutil.Process().parents())} | own
    found = []
    for process in psutil.process_iter():
        if process.pid in passed_over:
            continue
        try:
            carries = process.environ().get(strays.INSTANCE) == instance
            inside = process.cwd()
        except (psutil.Error, OSError):
            continue
        if carries or any(inside == root or inside.startswith(root + os.sep) for root in roots):
            found.append(process)
    return found


def _ours(process: psutil.Process, supervisors: set[int]) -> bool:
    """A supervised program or a job and their children carry its name; what the supervisor has just forked does not
    yet, and PostgreSQL's processes hide it behind their titles."""
    try:
        environment = process.environ()
        return (strays.PROGRAM in environment or JOB in environment or process.ppid() in supervisors
                or process.name() == "postgres")
    except (psutil.Error, OSError):
        return True
