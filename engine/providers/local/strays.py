"""Finds and ends the processes of one environment, whoever their parent is.

Owns: recognising a process by the instance id it carries, and ending those. Must not: trust a pid that was written
down earlier, or end anything that does not carry the instance id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import psutil

from engine.model.diagnostic import Refused, error

INSTANCE = "TXPLAN_INSTANCE"
"""The environment variable by which a process belongs to an environment."""

PROGRAM = "TXPLAN_PROGRAM"
"""The environment variable with the name of the supervised program that a process belongs to."""

_ROUNDS = 5


def cluster_name(instance: str) -> str:
    """PostgreSQL's `cluster_name`: its processes write their title over their environment, so they carry it there."""
    return f"txplan-{instance}"


def lives(pid: int) -> bool:
    """Whether a process with this pid lives; one that has ended and was not yet waited for does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def find(instance: str, **variables: str) -> Sequence[psutil.Process]:
    """All live processes of the instance; with `variables` those alone whose environment holds these too."""
    wanted = {INSTANCE: instance, **variables}
    return [process for process in psutil.process_iter()
            if _carries(process, wanted) or (not variables and _is_postgres_of(process, instance))]


def _carries(process: psutil.Process, wanted: Mapping[str, str]) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        environment = process.environ()
    except (psutil.Error, OSError):
        return False
    return all(environment.get(key) == value for key, value in wanted.items())


def _is_postgres_of(process: psutil.Process, instance: str) -> bool:
    # Its user differs from ours where txplan runs as root, and a root without the right to trace cannot read another
    # user's environment; titles and arguments anybody can read.
    try:
        if process.status() == psutil.STATUS_ZOMBIE or process.name() != "postgres":
            return False
        arguments = process.cmdline()
    except (psutil.Error, OSError):
        return False
    name = cluster_name(instance)
    return bool(arguments) and (f"cluster_name={name}" in arguments or arguments[0].startswith(f"postgres: {name}: "))


def end(processes: Sequence[psutil.Process], wait_s: float = 10.0) -> None:
    """Ask the topmost of them to end, then end by force what is left. psutil checks that a pid is still the process
    that was found, so a stranger with a reused pid is safe."""
    own = {process.pid for process in processes}
    for process in processes:
        with suppress(psutil.Error):
            # A server ends its own children in good order; asking them directly would look like a crash to it.
            if process.ppid() not in own:
                process.terminate()
    _, left = psutil.wait_procs(processes, timeout=wait_s)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=wait_s)


def end_all(instance: str) -> None:
    """End every process of the instance; what they start meanwhile is found in a further round. Refused where one
    cannot be ended."""
    for _ in range(_ROUNDS):
        processes = find(instance)
        if not processes:
            return
        end(processes)
    raise Refused([error("process-stays", f"process {p.pid} ({p.name()}) cannot be ended",
                         mend="look why it hangs, then run it again") for p in find(instance)])
