"""How a kind runs a job of the service: its events become progress, its error becomes a diagnostic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.model.address import Address
from engine.model.diagnostic import Refused, error
from engine.providers.base import Context, JobRunner, JobSpec, Progress


class Interrupted(Exception):
    """The step was told to stop and did."""


def run_job(jobs: JobRunner, address: Address, command: Sequence[str], environment: Mapping[str, str],
            secrets: Mapping[str, str], context: Context, *,
            on_event: Callable[[Mapping[str, Any]], None] | None = None) -> Mapping[str, Any]:
    """Run a job to its end and return its result event.

    Raises Interrupted where it was cancelled, Refused with the job's own error where it failed. Events other than
    progress, result and error go to `on_event`.
    """
    result: dict[str, Any] = {}
    failure: dict[str, Any] = {}

    def hear(event: Mapping[str, Any]) -> None:
        match event.get("event"):
            case "progress":
                context.emit(Progress(event.get("done"), event.get("total"), str(event.get("unit") or ""),
                                      event.get("eta_s"), str(event.get("note") or "")))
            case "result":
                result.update({k: v for k, v in event.items() if k != "event"})
            case "error":
                failure.update(event)
            case _ if on_event is not None:
                on_event(event)
            case _:
                pass

    spec = JobSpec(str(address), command, environment, secrets)
    code = jobs.run(spec, hear, context.cancelled)
    if code == 0:
        return result
    if context.cancelled():
        raise Interrupted
    raise Refused([error(str(failure.get("code", "job-failed")),
                         str(failure.get("summary", f"The job of {address} ended with exit code {code}.")),
                         str(failure.get("detail", "")),
                         str(failure.get("mend", f"Read its log: txplan logs ENV {address}")), address=address)])
