"""A plan as it is read: the sentences that every format shows, so that text, Markdown and HTML say the same.

Owns what is told of a plan and in which order. Must not: know how any format looks, or leave anything out for length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.model.address import Address, Position
from engine.model.change import Action, Change, Reason
from engine.model.costs import Cost
from engine.model.diagnostic import Diagnostic
from engine.model.duration import spoken
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.drift import GONE
from engine.render import words
from engine.render.paint import MARKS

_TOLD_BY_ACTION = {"absent", "destroy"}
_TOLD_BY_DIFF = {"differs"}


@dataclass(frozen=True, slots=True)
class Value:
    """One value that differs, in words; `place` is where it was declared."""

    path: str
    before: str
    after: str
    replaces: bool
    place: str


@dataclass(frozen=True, slots=True)
class Why:
    """One reason, and the place that it points to."""

    text: str
    place: str


@dataclass(frozen=True, slots=True)
class Script:
    """What a step will run, as it is written."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """One change. `facts` are what else there is to know, a line each; `scripts` are what it will run;
    `leads_to` are the steps that it forces."""

    address: Address
    action: Action
    mark: str
    role: str
    named: str
    values: tuple[Value, ...]
    facts: tuple[str, ...]
    scripts: tuple[Script, ...]
    reasons: tuple[Why, ...]
    leads_to: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Changes that are done together: all of them, or one of the two parts of a plan that destroys and builds. `prefix`
    tells their places in a document from those of the other part."""

    title: str
    prefix: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Road:
    """The way back of one store; `missing` is what no rebuild brings back."""

    store: Address
    holds: str
    how: str
    took: str
    missing: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A whole plan. `destroyed` are the addresses of all that is gone afterwards; `notices` say what a reader must
    know before the rest, `roads` how each store comes back, `drift` what somebody changed outside."""

    title: str
    about: str
    made: str
    summary: str
    destroyed: tuple[Address, ...]
    notices: tuple[str, ...]
    roads: tuple[Road, ...]
    drift: tuple[str, ...]
    sections: tuple[Section, ...]
    footnotes: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    diagnostics: tuple[Diagnostic, ...]
    refusal: str


def read(plan: Plan) -> Reading:
    """What there is to say of a plan."""
    env = plan.environment
    doing = "Recreating" if plan.rebuild else "Destroying" if plan.destroy else "Plan for"
    return Reading(
        title=f"{doing} {env.name}",
        about=f"on {env.target} ({plan.manifest_file}, ttl {env.tags.get('ttl')})",
        made=_made(plan), summary=" ".join([_summary(plan), *_total(plan)]),
        destroyed=tuple(c.address for c in plan.changes if c.action.destroys),
        notices=tuple(_notices(plan)), roads=tuple(_roads(plan)),
        drift=tuple(_drift(plan)),
        sections=tuple(_sections(plan)),
        footnotes=tuple(_footnotes(plan)), verdicts=plan.verdicts,
        diagnostics=(*plan.diagnostics, *(v.diagnostic for v in plan.verdicts if v.diagnostic)),
        refusal="" if plan.sound else "This plan cannot be applied: mend what is marked as error or blocked.")


def _sections(plan: Plan) -> Iterable[Section]:
    titles = ("First all of it goes, what depends on others before them", "Then it is built anew, from nothing")
    for place, phase in enumerate(plan.phases()):
        forced = _forced(phase.pending)
        yield Section(titles[place] if plan.rebuild else "", "then." if place else "",
                      tuple(_block(c, forced.get(c.address, ()), _cost(plan, c.address)) for c in phase.pending))


def _roads(plan: Plan) -> Iterable[Road]:
    for store in plan.road_back.stores if plan.road_back else ():
        took = f"took {spoken(store.seconds)} last time" if store.seconds is not None else "never ran here"
        yield Road(store.address, store.holds, store.how, took, store.missing)


def _made(plan: Plan) -> str:
    return (f"Made {plan.created_at:%Y-%m-%d %H:%M:%SZ} by {plan.made_by} on {plan.made_on} with txplan "
            f"{plan.tool_version}; valid until {plan.valid_until:%Y-%m-%d %H:%M:%SZ}.")


def _summary(plan: Plan) -> str:
    """One line: how many steps of each action."""
    if not plan.pending and not plan.sound:
        return "There is no plan."
    left = len(plan.scope.left_out) if plan.scope else 0
    if not plan.pending and left:
        return f"No changes in the chosen part; {left} left out."
    if not plan.pending:
        return "Nothing to destroy." if plan.destroy else "No changes. The live environment is as the manifest says."
    if plan.rebuild:
        first, then = (_actions(phase) for phase in plan.phases())
        return f"Plan: {first or 'nothing to delete'}; then {then}."
    unchanged = f"{plan.counts[Action.NOOP] - left} unchanged"
    return f"Plan: {_actions(plan)}; {unchanged}{f', {left} left out' if left else ''}."


def _total(plan: Plan) -> Iterable[str]:
    """What all of it costs, where it costs anything."""
    costs = plan.costs
    if costs is None or not (plan.sound or plan.pending) or not (costs.before or costs.after):
        return
    now = f", now {costs.before:,.2f}" if costs.before not in (0, costs.after) else ""
    unknown = [str(i.address) for i in costs.items if i.unknown]
    without = f", and what {', '.join(unknown)} costs" if unknown else ""
    yield f"Costs about {costs.after:,.2f} {costs.currency} a month{now}{without}."


def _actions(plan: Plan) -> str:
    order = (Action.CREATE, Action.UPDATE, Action.REPLACE, Action.DELETE, Action.RUN, Action.WAIT)
    parts = [f"{plan.counts[action]} to {'decide later' if action is Action.WAIT else action.value}"
             for action in order if plan.counts[action]]
    return ", ".join(parts)


def _notices(plan: Plan) -> Iterable[str]:
    if plan.snapshot_at is not None:
        yield (f"Made from a snapshot of {plan.snapshot_at:%Y-%m-%d %H:%M:%SZ}, not from the live environment: it is "
               "for reading and cannot be applied.")
    scope = plan.scope
    if scope is None:
        return
    asked = [f"--only {pattern}" for pattern in scope.only] + [f"--exclude {pattern}" for pattern in scope.exclude]
    yield f"This is a part of the plan: {' '.join(asked)}."
    if scope.pulled_in:
        yield f"Pulled in, since the chosen steps wait for it: {', '.join(map(str, scope.pulled_in))}."
    if scope.left_out:
        said = (f"{o.address} ({o.action.value}{f', it waits for {o.because_of}' if o.because_of else ''})"
                for o in scope.left_out)
        yield f"Left out: {', '.join(said)}."


def _drift(plan: Plan) -> Iterable[str]:
    for change in plan.changes:
        sets = {d.path: d.after for d in change.diffs}
        for diff in change.drift:
            if diff.path == GONE:
                then = "the plan makes it anew" if change.action is Action.CREATE else "it stays so"
                yield f"{change.address} was applied, and is gone; {then}"
                continue
            then = f"the plan sets {words.value(sets[diff.path])}" if diff.path in sets else "it stays so"
            yield (f"{change.address} {diff.path}: applied {words.value(diff.before)}, live {words.value(diff.after)}; "
                   f"{then}")


def _footnotes(plan: Plan) -> Iterable[str]:
    seconds, unknown = plan.expected()
    if seconds:
        without = f"; {unknown} steps never ran here and are not counted" if unknown else ""
        yield f"Expected to take about {spoken(seconds)}, by earlier runs{without}."
    if plan.road_back and plan.road_back.seconds is not None and not plan.rebuild:
        yield f"Building it all anew took about {spoken(plan.road_back.seconds)} before."
    if plan.costs is not None and plan.costs.items:
        yield (f"Costs are an estimate by list prices of {plan.costs.as_of} ({plan.costs.currency}, "
               f"{plan.costs.region}); what comes by use is not in the sum.")
    if plan.counts[Action.WAIT]:
        yield "? is decided when it can be read; nothing is destroyed by it."


def _forced(pending: Iterable[Change]) -> Mapping[Address, tuple[Address, ...]]:
    """By address, the changes that are there because of it."""
    forced: dict[Address, list[Address]] = {}
    for change in pending:
        for because in sorted({r.because_of for r in change.reasons if r.because_of}):
            forced.setdefault(because, []).append(change.address)
    return {address: tuple(found) for address, found in forced.items()}


def _cost(plan: Plan, address: Address) -> tuple[str, ...]:
    """What a step costs a month, in words; nothing where it costs nothing."""
    if plan.costs is None:
        return ()
    return tuple(f"costs: {_a_month(item, plan.costs.currency)}" for item in plan.costs.items
                 if item.address == address)


def _a_month(item: Cost, currency: str) -> str:
    parts = []
    if item.after and not item.unknown:
        before = f", now {item.before:,.2f}" if item.before and item.before != item.after else ""
        parts.append(f"about {item.after:,.2f} {currency} a month{before}")
    elif item.before and not item.after:
        parts.append(f"no more {item.before:,.2f} {currency} a month")
    if item.unknown:
        parts.append(f"no price is known for {item.unknown}")
    if item.by_use:
        parts.append(item.by_use)
    return ", and ".join(parts)


def _block(change: Change, leads_to: tuple[Address, ...], cost: tuple[str, ...]) -> Block:
    mark, role = MARKS[change.action]
    named = str(change.spec["name"]) if "name" in change.spec and change.address.kind == "resource" else ""
    values = tuple(Value(d.path, words.value(d.before), words.value(d.after), d.replaces,
                         _place(change.positions.get(d.path))) for d in change.diffs)
    return Block(change.address, change.action, mark, role, named, values, (*_facts(change), *cost),
                 tuple(_scripts(change)), tuple(Why(r.text, _place(r.position)) for r in _untold(change)), leads_to)


def _facts(change: Change) -> Iterable[str]:
    if change.expected_s is not None:
        yield f"expected: {spoken(change.expected_s)}"
    for key, item in change.details.items():
        if key == "scripts":
            continue
        if isinstance(item, list | tuple):
            yield from map(words.value, item)
        elif item not in ({}, None):
            yield f"{key}: {words.value(item)}"


def _scripts(change: Change) -> Iterable[Script]:
    found = change.details.get("scripts")
    for script in found if isinstance(found, list | tuple) else ():
        yield Script(str(script["title"]), str(script["text"]))


def _untold(change: Change) -> list[Reason]:
    """The reasons that neither the action nor the differing values tell already."""
    told = _TOLD_BY_ACTION | (_TOLD_BY_DIFF if change.diffs else set())
    return [r for r in change.reasons if r.code not in told]


def _place(position: Position | None) -> str:
    return str(position) if position else ""
