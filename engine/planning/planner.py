"""Planner: from the graph and the live state to a plan. Pure: no network, clock or randomness.

Owns the order of changes and what a dependency's change means for those that depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from engine.kinds.base import NOTHING_TO_REMOVE, Kind, because_upstream, changing
from engine.model.address import Address
from engine.model.change import Action, Change, Decision, Reason
from engine.model.diagnostic import Diagnostic, Severity
from engine.model.evidence import Promotion
from engine.model.manifest import Manifest
from engine.model.observation import LiveState, Observation
from engine.model.plan import FORMAT_VERSION, Experience, Making, Plan
from engine.model.step import Step
from engine.planning.costs import costs
from engine.planning.drift import drift_of
from engine.planning.graph import Graph, environment_of
from engine.planning.guardrails import Guardrail, judge
from engine.planning.orphans import pruned
from engine.planning.recreate import above_the_live_generation
from engine.planning.road_back import road_back
from engine.planning.selection import EVERYTHING, Selection, select


def make_plan(manifest: Manifest, graph: Graph, live: LiveState, kinds: Mapping[str, Kind],
              guardrails: Sequence[Guardrail], making: Making, *, destroy: bool = False, recreate: bool = False,
              prune: bool = False, prove: bool = False, selection: Selection = EVERYTHING,
              snapshot_at: datetime | None = None, promotion: Promotion | None = None) -> Plan:
    """The plan that makes the live environment, or the selected part of it, what the graph says; with `destroy` the one
    that makes it nothing, with `recreate` nothing first and then what the graph says. `prune` deletes what the
    environment owns and no manifest declares, `prove` takes every proof anew; `snapshot_at` says how old `live` is
    where it was not read just now, `promotion` is the evidence that it builds on."""
    changes, problems = (_remove(graph, live, kinds) if destroy or recreate else
                         _build(graph, live, kinds, prove=prove))
    rebuild: list[Change] = []
    if recreate:
        graph, unknown = above_the_live_generation(graph, live)
        rebuild, found = _build(graph, live.emptied(), kinds)
        problems = [*problems, *unknown, *found]
    elif not destroy:
        removed, told = pruned(live, changes, prune=prune)
        changes, problems = [*changes, *removed], [*problems, *told]
    plan = Plan(FORMAT_VERSION, making.tool_version, making.user, making.host, environment_of(manifest),
                destroy or recreate, manifest.file, manifest.digest, live.digest, making.now,
                making.now + making.valid_for, tuple(changes), diagnostics=tuple(problems), overrides=making.overrides,
                max_destroy=manifest.max_destroy, snapshot_at=snapshot_at, promotion=promotion, rebuild=tuple(rebuild))
    plan = _with_history(select(plan, selection), making.history)
    live = replace(live, by_address={**live.by_address, **{o.address: o for o in live.orphans}})
    if any(c.action.destroys for c in plan.changes):
        built, _ = _build(graph, live.emptied(), kinds)
        plan = replace(plan, road_back=road_back(plan, live, _with_history(
            replace(plan, changes=tuple(built), rebuild=()), making.history)))
    plan = replace(plan, costs=costs(plan, making.prices))
    return replace(plan, verdicts=judge(guardrails, plan, live, making.now))


def _with_history(plan: Plan, history: Mapping[tuple[Address, Action], Experience]) -> Plan:
    return replace(plan, changes=tuple(_expected(c, history) for c in plan.changes),
                   rebuild=tuple(_expected(c, history) for c in plan.rebuild))


def decide(step: Step, seen: Observation, kind: Kind, decided: Mapping[Address, Action],
           empty: set[Address]) -> Decision:
    """One step's decision, given what was decided for those it depends on.

    `empty` holds the steps that will have no state when this one starts (absent, or about to be replaced); what lives
    in one of them is absent too, whatever was seen. The step is added where that holds for it.
    """
    upstream = {a: decided[a] for a in step.depends_on if a in decided}
    hollow = sorted(a for a in step.lives_in if a in empty)
    if hollow:
        empty.add(step.address)
        decision = kind.decide(step, Observation(step.address, exists=False, notes=seen.notes), upstream)
        if not seen.exists or seen.unreadable:
            return decision
        if decision.action is Action.CREATE:
            # It is there, and goes with what holds it: a reader shall see that something is destroyed.
            decision = replace(decision, action=Action.REPLACE)
        return replace(decision, reasons=(
            Reason("contained", f"{hollow[0]} is made anew, and with it what it holds.", because_of=hollow[0]),))
    if not seen.exists:
        empty.add(step.address)
    if seen.unreadable and kind.proves and changing(upstream):
        # What it proved is about to change, whatever the record says that cannot be read.
        return Decision(Action.RUN, because_upstream(upstream, "What it proves changes"))
    if seen.unreadable:
        return Decision(Action.WAIT, (Reason("unreadable", f"It cannot be read now: {seen.unreadable}."),))
    decision = kind.decide(step, seen, upstream)
    if decision.action is Action.REPLACE:
        empty.add(step.address)
    return decision


def _build(graph: Graph, live: LiveState, kinds: Mapping[str, Kind], *,
           prove: bool = False) -> tuple[list[Change], list[Diagnostic]]:
    changes: list[Change] = []
    problems: list[Diagnostic] = []
    decided: dict[Address, Action] = {}
    empty: set[Address] = set()
    for step in graph.ordered():
        seen = live.by_address[step.address]
        decision = decide(step, seen, kinds[step.address.kind], decided, empty)
        if prove and kinds[step.address.kind].proves and decision.action is Action.NOOP:
            decision = Decision(Action.RUN, (Reason("asked", "It is to be proven anew."),), details=decision.details)
        decided[step.address] = decision.action
        problems += decision.diagnostics
        change = _change(step, seen, decision, step.depends_on)
        changes.append(replace(change, drift=drift_of(seen, live.applied.get(step.address))))
    return changes, [*live.diagnostics, *problems]


def _remove(graph: Graph, live: LiveState, kinds: Mapping[str, Kind]) -> tuple[list[Change], list[Diagnostic]]:
    """The same graph, backwards: a step goes when all that depends on it is gone."""
    changes = []
    for step in reversed(list(graph.ordered())):
        seen = live.by_address[step.address]
        kind = kinds[step.address.kind]
        decision = kind.decide_delete(seen) if seen.exists else NOTHING_TO_REMOVE
        changes.append(_change(step, seen, decision, frozenset(graph.edges.successors(step.address))))
    # What could not be read is told, and hinders nobody from going back to nothing.
    return changes, [replace(d, severity=Severity.WARNING) for d in live.diagnostics]


def _change(step: Step, seen: Observation, decision: Decision, waits_for: frozenset[Address]) -> Change:
    before = seen.attributes if seen.exists and not seen.unreadable else None
    return Change(step.address, decision.action, step.spec, waits_for, seen.digest, before, decision.reasons,
                  decision.diffs, decision.details, step.source, step.positions)


def _expected(change: Change, history: Mapping[tuple[Address, Action], Experience]) -> Change:
    """The change with how long it takes by experience; for a known number of rows, by the rate that was measured live,
    or at which it read before."""
    before = history.get((change.address, change.action))
    if change.action is Action.NOOP:
        return change
    rows, rate = change.details.get("rows"), change.details.get("rows_per_s") or (before and before.rows_per_s)
    if not isinstance(rows, int) or not isinstance(rate, int | float):
        return change if before is None else replace(change, expected_s=round(before.seconds, 1))
    return replace(change, expected_s=round(rows / rate, 1), details={**change.details, "rows_per_s": round(rate)})
