"""Observe: the only reader of the live environment while planning.

Reads all steps at once; what cannot be read is a diagnostic, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from engine.kinds.base import Kind
from engine.model.address import Address
from engine.model.diagnostic import Diagnostic, Refused
from engine.model.observation import LiveState, Observation
from engine.model.step import Step
from engine.providers.base import Capabilities

READERS = 16
"""How many steps are read at once: reads wait for sockets, not for processors."""


def observe(steps: Iterable[Step], kinds: Mapping[str, Kind], capabilities: Capabilities, *,
            orphans: bool = True) -> LiveState:
    """The live state of `steps`, and with `orphans` the owned resources that no step declares."""
    listed = list(steps)
    seen: dict[Address, Observation] = {}
    problems: list[Diagnostic] = []

    def one(step: Step) -> Observation | tuple[Diagnostic, ...]:
        try:
            return kinds[step.address.kind].observe(step, capabilities)
        except Refused as refused:
            return tuple(replace(d, address=d.address or step.address) for d in refused.diagnostics)

    with ThreadPoolExecutor(READERS) as pool:
        for step, answer in zip(listed, pool.map(one, listed), strict=True):
            if isinstance(answer, Observation):
                seen[step.address] = answer
            else:
                problems.extend(answer)
                seen[step.address] = Observation(step.address, exists=True, unreadable="it could not be read")
    kept = capabilities.applied
    applied = {s.address: a for s in listed if kept and (a := kept.get(str(s.address))) is not None}
    owned = tuple(observe_orphans(listed, kinds, capabilities)) if orphans else ()
    return LiveState(seen, owned, tuple(problems), applied)


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
