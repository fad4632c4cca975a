"""How a reconciliation of the source with the store is run: by the gate, and by the command.

Owns what its job is told. Must not: compare or repair a row itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.kinds import wiring
from engine.kinds.backfill import job_source, source_environment
from engine.kinds.base import Needs
from engine.kinds.jobs import run_job
from engine.kinds.records import active_cutover
from engine.model.address import Address
from engine.model.diagnostic import Refused, error
from engine.providers.base import Context

LOADED = ("backfilled", "syncing")


@dataclass(frozen=True, slots=True)
class Asked:
    """`repair`: the digest of the differences that were shown, to mend exactly them."""

    live: bool = False
    samples: int = 5
    repair: str | None = None


def reconcile(needs: Needs, source: Mapping[str, Any], asked: Asked, context: Context, *, address: Address,
              on_difference: Callable[[Mapping[str, Any]], None] = lambda _: None) -> Mapping[str, Any]:
    """Compare under the active cutover; the job's result: {differences, fence, tables, digest, repaired, seconds,
    peak_mib}. Raises Refused where there is nothing to compare yet, or one of the two sides cannot be read."""
    record = active_cutover(needs.database)
    if record is None or record.state not in LOADED:
        raise Refused([error("not-loaded", "The backfill is not done, so the store cannot be as the source yet.",
                             f"The cutover is {record.state}." if record else "No cutover is recorded.",
                             "Apply the manifest first.", address=address)])
    spec = {"source": job_source(source), "t_cutover": record.t_cutover.isoformat(),
            "skew_s": record.skew.total_seconds(), "group": record.group, "samples": asked.samples,
            "source_is_live": asked.live, "repair": asked.repair}

    def hear(event: Mapping[str, Any]) -> None:
        if event.get("event") == "difference":
            on_difference(event)

    return run_job(needs.jobs, address, [sys.executable, "-m", "streamapp", "reconcile"],
                   {"RECONCILE_SPEC": json.dumps(spec)},
                   {**needs.database.client_environment(wiring.CONSUMER_ROLE),
                    **source_environment(source, needs.secrets)}, context, on_event=hear)
