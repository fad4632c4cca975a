"""What the environment of a plan costs a month, before it and after it, by the target's price table.

Owns: the arithmetic. Must not: read a table, or know a resource type. An estimate: it knows declared sizes and no use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.model.change import Action, Change
from engine.model.costs import Cost, Costs, Price, Prices
from engine.model.plan import Plan
from engine.model.value import Attributes


def costs(plan: Plan, prices: Mapping[str, Prices]) -> Costs | None:
    """The estimate; None for a target that has no prices, such as this machine."""
    table = prices.get(plan.environment.target)
    if table is None:
        return None
    later = {c.address: c for c in plan.rebuild}
    items = [item for change in plan.changes for item in _items(change, later.get(change.address), table, plan)]
    there = {c.address for c in plan.changes}
    items += [item for change in plan.rebuild if change.address not in there
              for item in _items(change, change, table, plan)]
    return Costs(table.currency, table.as_of, table.region, tuple(items))


def _items(change: Change, later: Change | None, table: Prices, plan: Plan) -> Iterator[Cost]:
    type_ = str(change.spec.get("type", change.address.kind)) if change.address.kind == "resource" else (
        change.address.kind)
    lines, by_use = table.fixed.get(type_, ()), table.by_use.get(type_, "")
    if not lines and not by_use:
        return
    # What is observed of an app or a resource says its size by the keys of the spec, where it says it at all.
    now = {**change.spec, **change.before} if change.before is not None else None
    if later is not None:
        then: Attributes | None = later.spec
    elif change.action is Action.NOOP:
        then = now  # As it is, and where it was left out of the plan, not there at all.
    else:
        then = None if plan.destroy or change.action is Action.DELETE else change.spec
    before, _ = _sum(lines, now)
    after, unknown = _sum(lines, then)
    used = by_use if then is not None else ""
    if before or after or used or unknown:
        yield Cost(change.address, before, after, used, unknown)


def _sum(lines: tuple[Price, ...], spec: Attributes | None) -> tuple[float, str]:
    """(a month, what has no price)."""
    total, unknown = 0.0, ""
    for line in lines if spec is not None else ():
        key = str(spec.get(line.by, "")) if spec is not None and line.by else ""
        amount = line.amounts.get(key)
        count = spec.get(line.times, 1) if spec is not None and line.times else 1
        if amount is None:
            unknown = f"{line.by} {key}"
        elif isinstance(count, int | float):
            total += amount * count
    return round(total, 2), unknown
