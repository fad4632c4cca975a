"""Live states for tests of plans: what would be read of an environment that is as its manifest says.

Owns the shape of each kind's observation. Must not read anything live.
"""

from __future__ import annotations

from typing import Any

from engine.kinds.cutover import requested
from engine.model.observation import Observation
from engine.model.step import Step


def declared(step: Step) -> Observation:
    """The live counterpart of a step that is as it shall be."""
    spec: Any = step.spec
    match step.address.kind:
        case "resource":
            attributes = {k: v for k, v in spec.items() if k not in ("type", "admin_secret")}
            return Observation(step.address, True, attributes,
                               {"immutable": ["partitions", "version", "engine"], "foreign": []})
        case "secret":
            return Observation(step.address, True, {"version": 1, "fingerprint": "f1"})
        case "migrate":
            return Observation(step.address, True, {
                "revision": spec["head"], "drift": [],
                "landed": [{k: r[k] for k in ("revision", "down", "digest")} for r in spec["chain"]]},
                {"holds": {"backfill": 10, "stream": 4, "dead_letters": 0, "audited": False}})
        case "cutover":
            return Observation(step.address, True, {
                "id": 1, "generation": 1, "t_cutover": "2026-01-01T00:00:00+00:00", "group": "bo-sync-dev-kim-v1",
                "start_offsets": {}, "requested": requested(spec), "log": "ok"},
                {"state": "syncing", "groups": ["bo-sync-dev-kim-v1"],
                 "events": {str(topic): 7 for topic in spec["topics"]}})
        case "backfill":
            return Observation(step.address, True, {"cutover": 1, "state": "done"}, {"rows_read": 10})
        case "app":
            return Observation(step.address, True, {"revision": spec["revision"], "replicas": spec["replicas"],
                                                    "outdated": []}, {"running": spec["replicas"]})
        case "reprocess":
            # A log of one partition that begins at 5, which the group has read up to 20.
            begin = spec["offsets"] or {"a": {"0": 10}}
            return Observation(step.address, True, {"group": "bo-sync-dev-kim-v1", "from": begin}, {
                "committed": {"a": {"0": 20}}, "log_start": {"a": {"0": 5}}, "rows_per_s": 100,
                "first_at": {"a/0": "2026-01-01T12:00:00Z"}, "last_at": {"a/0": "2026-01-01T13:00:00Z"}})
        case _:
            return Observation(step.address, True, {"outcome": "pass", "current": True})
