"""What `list`, `extend` and `reap` share: an environment that is live here, found with its manifest or without."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.common import Compiled, known_environments, now, open_target, plan_path, show_diagnostics
from engine.model.diagnostic import Diagnostic, Refused, error, warning

if TYPE_CHECKING:
    from engine.planning.listing import Listed
    from engine.providers.base import Known

_READERS = 8


@dataclass(frozen=True)
class Found:
    """A live environment, how it is, and its manifest compiled; `problems` say why there is none."""

    known: Known
    listed: Listed
    compiled: Compiled | None
    problems: tuple[Diagnostic, ...]


def look() -> list[Found]:
    """Every environment that is live here, by name; those that were planned here for another place are told."""
    _tell_elsewhere()
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(_found, known_environments()))


def manifest_of(name: str) -> Path:
    """The manifest that is named, or that of the live environment of this name."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    live = {k.environment.name: k for k in known_environments()}
    if name not in live:
        raise Refused([error("unknown-environment", f"No environment {name!r} is live here.",
                             f"Live here: {', '.join(sorted(live)) or 'none'}.", "Name a manifest.")])
    manifest = live[name].manifest
    if manifest is None or not Path(manifest).is_file():
        raise Refused([error("manifest-unknown", f"Where the manifest of {name} is, nobody knows here.",
                             f"It was applied from {manifest}." if manifest else "", "Name its manifest.")])
    return Path(manifest)


def _tell_elsewhere() -> None:
    """What is on Azure nobody knows here for sure: another machine may have built or destroyed it since."""
    from engine.planning.planfile import load_plan

    names = []
    for stored in sorted(plan_path("any").parent.glob("*.json")):
        try:
            plan = load_plan(stored)
        except Refused:
            continue  # Of another version: whoever names it is told.
        if plan.environment.target != "local" and not plan.destroy:
            names.append(plan.environment.name)
    if names:
        show_diagnostics([warning("elsewhere", f"Planned here and not looked at: {', '.join(names)}.",
                                  "They are on Azure; here are the environments of this machine alone.",
                                  "Look at one by its name: txplan status NAME")], as_json="--json" in sys.argv[1:])


def _found(known: Known) -> Found:
    from engine.planning.listing import listed
    from engine.planning.observe import observe_orphans

    capabilities = open_target(known.environment)
    compiled, problems = _compiled(known)
    orphans = None
    if compiled:
        try:
            orphans = [f"{seen.notes['type']} {seen.notes['name']}" for seen in observe_orphans(
                compiled.graph.steps.values(), compiled.kinds, capabilities)]
        except Refused as refused:
            problems = refused.diagnostics
    profile = compiled.manifest.profile if compiled else None
    return Found(known, listed(known, capabilities, now(), profile=profile, orphans=orphans), compiled, problems)


def _compiled(known: Known) -> tuple[Compiled | None, tuple[Diagnostic, ...]]:
    """The manifest of a live environment, where it still is one of this very environment."""
    from engine.kinds.base import discover
    from engine.load import load_manifest
    from engine.planning.graph import compile_graph, environment_of

    name = known.environment.name
    mend = f"Name it: txplan destroy MANIFEST, or txplan extend MANIFEST for another ttl of {name}"
    if known.manifest is None or not Path(known.manifest).is_file():
        return None, (error("manifest-unknown", f"Where the manifest of {name} is, nobody knows here.",
                            f"It was applied from {known.manifest}." if known.manifest else "", mend),)
    manifest, found = load_manifest(Path(known.manifest), today=now().date())
    if manifest is None:
        return None, tuple(found)
    theirs = environment_of(manifest)
    if (theirs.name, theirs.project, theirs.team, theirs.target) != (
            name, known.environment.project, known.environment.team, known.environment.target):
        return None, (error("other-environment", f"{known.manifest} is the manifest of {theirs.name} by now, "
                            f"and not of {name}.", mend=mend),)
    kinds = discover()
    try:
        return Compiled(manifest, kinds, compile_graph(manifest, kinds), theirs), ()
    except Refused as refused:
        return None, refused.diagnostics
