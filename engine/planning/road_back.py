"""The road back (P11.3): how each store that a plan destroys is rebuilt, and what no rebuild brings back. Pure.

A store is what holds data: the database's tables, a hub's events, the vault's secrets. Must not: judge (a guardrail
does), or take a duration for a promise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.kinds import wiring
from engine.kinds.backfill import rows_of, source_in_words
from engine.model.address import Address
from engine.model.change import Action, Change
from engine.model.observation import LiveState, Observation
from engine.model.plan import Plan, RoadBack, Store
from engine.model.value import Attributes, Value

PRUNED = "undeclared"
"""The code of the reason for which something is deleted that no manifest declares."""


def stores(changes: Iterable[Change], live: LiveState) -> tuple[Store, ...]:
    """Every store that the changes destroy and that is live, in the order of the changes."""
    by_address = {c.address: c for c in changes}
    found: list[Store] = []
    for change in by_address.values():
        seen = live.by_address.get(change.address)
        if not change.action.destroys or seen is None or not seen.exists:
            continue
        if change.address.kind == "secret":
            if wiring.VAULT not in [s.address for s in found]:
                found.append(_secrets(by_address, live))
        elif any(r.code == PRUNED for r in change.reasons):
            if change.spec["type"] in ("database", "hub", "vault", "postgres", "namespace"):
                found.append(Store(change.address, "what nobody declares any more", "nothing builds it anew",
                                   "no manifest says how it would be rebuilt"))
        elif change.address == wiring.DATABASE:
            found.append(_tables(by_address, live))
        elif change.spec.get("type") == "hub":
            found.append(_events(change, by_address, live))
    return tuple(found)


def road_back(plan: Plan, live: LiveState, built: Plan) -> RoadBack | None:
    """The road back of a plan; `built` is the plan that makes the environment from nothing, with its durations."""
    found = stores(plan.changes, live)
    if not found:
        return None
    took = {c.address: c.expected_s for c in built.changes if c.action is not Action.NOOP}
    seconds, _ = built.expected()
    return RoadBack(tuple(replace(s, seconds=_seconds(s.address, took)) for s in found), round(seconds, 1) or None)


def _seconds(address: Address, took: Mapping[Address, float | None]) -> float | None:
    """What rebuilding the store took before: its own steps, and those that hold it."""
    steps: Sequence[Address] = (address,)
    if address == wiring.DATABASE:
        steps = (wiring.POSTGRES, wiring.DATABASE, wiring.SCHEMA, wiring.BACKFILL)
        if wiring.BACKFILL in took and took[wiring.BACKFILL] is None:
            return None  # All but the longest part would be no answer.
    elif address == wiring.VAULT:
        steps = (wiring.VAULT, *(a for a in took if a.kind == "secret"))
    elif address.kind == "resource" and address.name.startswith("hub-"):
        steps = (wiring.NAMESPACE, address)
    known = [s for a in steps if (s := took.get(a)) is not None]
    return round(sum(known), 1) if known else None


# Tables


def _tables(changes: Mapping[Address, Change], live: LiveState) -> Store:
    schema, backfill = live.by_address.get(wiring.SCHEMA), changes.get(wiring.BACKFILL)
    load = changes.get(wiring.LOAD)
    source: Any = backfill.spec["source"] if backfill else None
    feed: Any = load.spec["source"] if load else None
    if schema is None or not schema.exists:
        return Store(wiring.DATABASE, "no tables yet", "migrations make them", "")
    held: Any = schema.notes.get("holds")
    how = ["migrations make the tables"]
    if source:
        how.append(f"backfill.source fills them: {source_in_words(source)}")
    if feed:
        how.append(f"load.source publishes its events again: {source_in_words(feed)}")
    if held and held["audited"]:
        how.append("the audit of look-ups begins anew")
    if held is None:
        missing = "" if source else "what they hold cannot be read now, and no backfill.source is declared"
        return Store(wiring.DATABASE, "tables that cannot be read now", "; ".join(how), missing)
    return Store(wiring.DATABASE, _rows_in_words(held), "; ".join(how),
                 "; ".join(_rows_missing(held, source, feed, live.by_address.get(wiring.BACKFILL))))


def _rows_in_words(held: Mapping[str, Any]) -> str:
    parts = [f"{held['backfill']:,} rows by backfill", f"{held['stream']:,} by stream"]
    if held["dead_letters"]:
        parts.append(f"{held['dead_letters']:,} broken events in the DLQ")
    if held["audited"]:
        parts.append("the audit of look-ups")
    return ", ".join(parts)


def _rows_missing(held: Mapping[str, Any], source: Any, feed: Any, loaded: Observation | None) -> Iterable[str]:
    if held["backfill"] and not source:
        yield f"no backfill.source is declared for the {held['backfill']:,} rows that were loaded"
    trouble = loaded.notes.get("trouble") if loaded else None
    if source and trouble:
        yield str(trouble)
    if held["stream"] and not _endures(source) and not feed:
        yield (f"{held['stream']:,} rows came by stream, and neither a source database nor load.source brings them "
               "again")


def _endures(source: Any) -> bool:
    """Whether the source itself goes on: what was published since is in it."""
    return bool(source) and source["kind"] == "postgres"


# Events


def _events(change: Change, changes: Mapping[Address, Change], live: LiveState) -> Store:
    name, cutover = str(change.spec["name"]), live.by_address.get(wiring.CUTOVER)
    counts: Any = cutover.notes.get("events") if cutover else None
    backfill, load = changes.get(wiring.BACKFILL), changes.get(wiring.LOAD)
    source, feed = (backfill.spec["source"] if backfill else None), (load.spec["source"] if load else None)
    namespace = live.by_address.get(wiring.NAMESPACE)
    outside = namespace is not None and namespace.attributes.get("engine") == "external"
    if counts is None:
        return Store(change.address, "events that cannot be counted now", "made anew, empty",
                     "they are on a broker that is not this environment's" if outside and not _endures(source) else "")
    if name not in counts:
        return Store(change.address, "events of a hub that others made", "it stays as it is", "")
    count = int(counts[name])
    how = "made anew, empty; T is taken after that, and what its events brought comes back with the tables"
    missing = ""
    if count and outside and not _endures(source):
        missing = (f"{count:,} events on a broker that is not this environment's, which no source database holds")
    elif count and not source and not feed:
        missing = f"{count:,} events, which neither backfill.source nor load.source brings again"
    return Store(change.address, f"{count:,} events", how, missing)


# Secrets


def _secrets(changes: Mapping[Address, Change], live: LiveState) -> Store:
    gone = [c for c in changes.values() if c.address.kind == "secret" and c.action.destroys]
    made, taken, missing = [], [], []
    for change in sorted(gone, key=lambda c: c.address):
        name, seen = str(change.spec["name"]), live.by_address.get(change.address)
        where = _where(change.spec["source"])
        if where is None:
            made.append(name)
            continue
        taken.append(f"{name} from {where}")
        if seen is not None and seen.notes.get("trouble"):
            missing.append(f"{name} is in the vault alone: {seen.notes['trouble']}")
    how = [f"generated anew, so that who holds an old value needs the new one: {', '.join(made)}"] if made else []
    return Store(wiring.VAULT, f"{len(gone)} secrets", "; ".join(how + taken), "; ".join(missing))


def _where(source: Value) -> str | None:
    assert isinstance(source, Mapping)
    given: Attributes = source
    if "from_env" in given:
        return f"the environment variable {given['from_env']}"
    return f"the file {given['from_file']}" if "from_file" in given else None


def left_behind(store: Store, changes: Iterable[Change], live: LiveState) -> str:
    """What is in the store that no rebuild makes again, though most comes back: broken events that somebody may still
    have to look at, and rows by stream beyond those that load.source publishes."""
    schema = live.by_address.get(wiring.SCHEMA)
    held: Any = schema.notes.get("holds") if schema is not None and store.address == wiring.DATABASE else None
    if not held:
        return ""
    beyond = _beyond(held, {c.address: c for c in changes})
    parts = [f"{held['dead_letters']:,} broken events of the DLQ"] if held["dead_letters"] else []
    parts += [f"{beyond:,} rows by stream beyond those of load.source"] if beyond else []
    return " and ".join(parts)


def _beyond(held: Mapping[str, Any], changes: Mapping[Address, Change]) -> int:
    """How many rows by stream are more than load.source publishes; 0 where that cannot be told."""
    load, backfill = changes.get(wiring.LOAD), changes.get(wiring.BACKFILL)
    feed: Any = load.spec["source"] if load else None
    if not feed or _endures(backfill.spec["source"] if backfill else None):
        return 0
    published = rows_of(feed).get("rows")
    return max(int(held["stream"]) - published, 0) if isinstance(published, int) else 0
