"""Observe: the only reader of the live environment while planning.

Reads all steps at once; what cannot be read is a diagnostic, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from engine.kinds.at_once import at_once
from engine.kinds.base import Kind
from engine.model.address import Address
from engine.model.diagnostic import Diagnostic, Refused
from engine.model.observation import LiveState, Observation
from engine.model.step import Step
from engine.model.value import Attributes
from engine.providers.base import Capabilities


def observe(steps: Iterable[Step], kinds: Mapping[str, Kind], capabilities: Capabilities, *,
            orphans: bool = True) -> LiveState:
    """The live state of `steps`, and with `orphans` the owned resources that no step declares."""
    listed = list(steps)
    seen: dict[Address, Observation] = {}
    applied: dict[Address, Attributes] = {}
    problems: list[Diagnostic] = []
    answers = at_once(lambda step: _read(step, kinds, capabilities), listed)
    for step, (answer, kept) in zip(listed, answers, strict=True):
        if kept is not None:
            applied[step.address] = kept
        if isinstance(answer, Observation):
            seen[step.address] = answer
        else:
            problems.extend(answer)
            seen[step.address] = Observation(step.address, exists=True, unreadable="it could not be read")
    owned = tuple(observe_orphans(listed, kinds, capabilities)) if orphans else ()
    return LiveState(seen, owned, tuple(problems), applied)


def _read(step: Step, kinds: Mapping[str, Kind],
          capabilities: Capabilities) -> tuple[Observation | tuple[Diagnostic, ...], Attributes | None]:
    """One step's live state, or why it cannot be read; and what the last apply of it left."""
    kept = capabilities.applied.get(str(step.address)) if capabilities.applied else None
    try:
        return kinds[step.address.kind].observe(step, capabilities), kept
    except Refused as refused:
        return tuple(replace(d, address=d.address or step.address) for d in refused.diagnostics), kept


def observe_orphans(steps: Iterable[Step], kinds: Mapping[str, Kind],
                    capabilities: Capabilities) -> Iterable[Observation]:
    """The owned resources that no step declares, each observed as a declared one would be; their `notes` also hold the
    type and the name."""
    declared = {(str(s.spec["type"]), str(s.spec["name"])) for s in steps if s.address.kind == "resource"}
    for type_ in sorted(capabilities.resources):
        for name in sorted(capabilities.resources[type_].inventory()):
            if (type_, name) in declared:
                continue
            spec = {"type": type_, "name": name}
            found = kinds["resource"].observe(Step(Address("resource", f"{type_}:{name}"), spec), capabilities)
            if found.exists:
                yield replace(found, notes={**found.notes, **spec})
