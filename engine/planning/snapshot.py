"""Snapshots: the live state kept in a file, and taken from it again in place of observing.

Owns the file's format. A step that the snapshot does not hold, or holds of another thing of that name, is unreadable,
never guessed. Must not: touch the environment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from engine.kinds.base import Kind
from engine.model.codec import decode, encode
from engine.model.diagnostic import Refused, error
from engine.model.observation import LiveState, Observation
from engine.model.plan import Making
from engine.model.snapshot import SNAPSHOT_VERSION, Seen, Snapshot
from engine.model.step import Environment, Step
from engine.planning.graph import Graph
from engine.planning.planfile import read_json, write_private

_MEND = "Take one of this environment: txplan snapshot MANIFEST --out FILE"


def take(environment: Environment, graph: Graph, live: LiveState, making: Making) -> Snapshot:
    """The observed live state as a snapshot."""
    return Snapshot(SNAPSHOT_VERSION, making.tool_version, making.user, making.host, making.now, environment,
                    tuple(Seen(step.spec, live.by_address[step.address], live.applied.get(step.address))
                          for step in graph.ordered()),
                    live.orphans, live.diagnostics)


def live_of(snapshot: Snapshot, environment: Environment, graph: Graph, kinds: Mapping[str, Kind]) -> LiveState:
    """The live state of the graph's steps as the snapshot has it; Refused where it is another environment's."""
    theirs, ours = snapshot.environment, environment
    if (theirs.name, theirs.target, theirs.project, theirs.team) != (ours.name, ours.target, ours.project, ours.team):
        raise Refused([error("other-environment", f"The snapshot is of {theirs.name} ({theirs.project}, {theirs.team}, "
                             f"{theirs.target}), the manifest of {ours.name} ({ours.project}, {ours.team}, "
                             f"{ours.target}).", mend=_MEND)])
    held = {seen.observation.address: seen for seen in snapshot.steps}
    found = {a: _one(step, kinds[a.kind], held.get(a)) for a, step in graph.steps.items()}
    applied = {a: seen.applied for a, seen in held.items() if seen.applied is not None and a in found}
    return LiveState(found, snapshot.orphans, snapshot.diagnostics, applied)


def _one(step: Step, kind: Kind, seen: Seen | None) -> Observation:
    unread = Observation(step.address, exists=True)
    if seen is None:
        return replace(unread, unreadable="the snapshot does not hold it")
    if any(step.spec.get(key) != seen.spec.get(key) for key in kind.reads_by):
        return replace(unread, unreadable="the snapshot was taken when it was declared otherwise")
    return seen.observation


def save_snapshot(snapshot: Snapshot, path: Path) -> None:
    """Write it to `path`, mode 0600; raises Refused where that cannot be."""
    try:
        write_private(path, json.dumps(encode(snapshot), indent=1, ensure_ascii=False) + "\n")
    except OSError as problem:
        raise Refused([error("snapshot-unwritable", f"The snapshot cannot be written to {path}.",
                             problem.strerror or "", "Name another file with --out.")]) from problem


def load_snapshot(path: Path) -> Snapshot:
    """Read and check a snapshot; raises Refused with what is wrong with it."""
    data = read_json(path, "snapshot", _MEND)
    version = data.get("snapshot_version") if isinstance(data, dict) else None
    if version != SNAPSHOT_VERSION:
        raise Refused([error("snapshot-version", f"{path} has snapshot format {version!r}; this txplan reads "
                             f"{SNAPSHOT_VERSION}.", mend=_MEND)])
    try:
        snapshot: Snapshot = decode(Snapshot, data)
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise Refused([error("snapshot-invalid", f"{path} is no valid snapshot.", str(problem), _MEND)]) from problem
    return snapshot
