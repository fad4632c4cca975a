"""Evidence of a green apply: gathered from what is live when it has ended, and judged when something is built on it.

Owns: what a record holds, and what makes it no ground to build on. Must not: read the live environment (what was read
is given), or keep anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from engine.kinds import wiring
from engine.kinds.base import Kind
from engine.model.address import Address
from engine.model.diagnostic import Diagnostic, error
from engine.model.duration import spoken
from engine.model.evidence import EVIDENCE_VERSION, Evidence, Proven
from engine.model.observation import LiveState, Observation
from engine.model.plan import Making, Plan

FRESH_FOR = timedelta(hours=24)
"""How old a proof may be to build on it, where nobody says otherwise."""

_APPS = (wiring.CONSUMER, wiring.API)
_CUTOVER = ("id", "generation", "t_cutover", "group", "start_offsets")


def gather(plan: Plan, plan_id: str, run: str, live: LiveState, kinds: Mapping[str, Kind], making: Making) -> Evidence:
    """The record of an apply of `plan` that has just ended; `live` was read after that."""
    by_address = {c.address: c for c in plan.changes}
    schema, cutover = live.by_address[wiring.SCHEMA], live.by_address[wiring.CUTOVER]
    landed: Any = schema.attributes.get("landed", [])
    drift: Any = schema.attributes.get("drift", [])
    due = tuple(sorted(a for a in by_address if kinds[a.kind].proves))
    return Evidence(
        EVIDENCE_VERSION, making.tool_version, making.user, making.host, making.now, plan.environment,
        plan.manifest_file, plan.manifest_digest, plan_id, run,
        code=str(by_address[wiring.API].spec["code"]),
        revisions={str(a): str(live.by_address[a].attributes.get("revision")) for a in _APPS},
        head=str(schema.attributes.get("revision")),
        landed=tuple({"revision": str(r["revision"]), "digest": str(r["digest"])} for r in landed),
        schema_drift=tuple(map(str, drift)),
        cutover={key: cutover.attributes[key] for key in _CUTOVER if key in cutover.attributes},
        proofs=tuple(p for a in due if (p := _proven(live.by_address[a]))),
        verdicts=plan.verdicts, overrides=plan.overrides, due=due)


def _proven(seen: Observation) -> Proven | None:
    if not seen.exists or seen.unreadable:
        return None
    detail: Any = seen.notes.get("detail", {})
    return Proven(seen.address, str(seen.attributes["outcome"]), bool(seen.attributes["current"]),
                  datetime.fromisoformat(str(seen.notes["at"])), detail)


def green(record: Evidence) -> list[Diagnostic]:
    """Why the record does not say that everything passed; empty where it does."""
    return [*_missing(record), *_not_passed(record)]


def problems(record: Evidence, now: datetime, fresh_for: timedelta = FRESH_FOR) -> list[Diagnostic]:
    """Everything for which nothing may be built on the record; `now` is aware and in UTC."""
    return [*green(record), *_stale(record, now, fresh_for), *_debt(record)]


def _missing(record: Evidence) -> Iterator[Diagnostic]:
    there = {p.address for p in record.proofs}
    lacking = [str(a) for a in record.due if a not in there]
    if not record.due or lacking:
        yield error("evidence-partial", f"The evidence of {record.environment.name} is not whole.",
                    f"It has no answer of {', '.join(lacking)}." if lacking else "It was asked for no proof at all.",
                    "Apply the whole environment, to green gates.", rule="P8")


def _not_passed(record: Evidence) -> Iterator[Diagnostic]:
    for proof in record.proofs:
        if proof.outcome != "pass" or not proof.current:
            why = f"its answer is {proof.outcome}" if proof.outcome != "pass" else "it is about an earlier state"
            yield error("evidence-not-green", f"{record.environment.name} is not green: {proof.address}.",
                        f"At {proof.at:%Y-%m-%d %H:%M:%SZ} {why}: {proof.detail.get('says', 'no more is known')}.",
                        "Mend it, and apply again.", address=proof.address, rule="P8")


def _stale(record: Evidence, now: datetime, fresh_for: timedelta) -> Iterator[Diagnostic]:
    oldest = min((p.at for p in record.proofs), default=record.made_at)
    if now - oldest > fresh_for:
        yield error("evidence-stale", f"The evidence of {record.environment.name} is {spoken(now - oldest)} old.",
                    f"At most {spoken(fresh_for)} are allowed; its oldest proof is of {oldest:%Y-%m-%d %H:%M:%SZ}.",
                    "Prove it anew: txplan apply MANIFEST --prove", rule="P3.2")


def _debt(record: Evidence) -> Iterator[Diagnostic]:
    for what in record.schema_drift:
        yield error("evidence-debt", f"The schema of {record.environment.name} was changed by hand: {what}.",
                    "What no revision holds would be missing in what is built from it.",
                    "Bring it back as a revision, and apply it.", address=wiring.SCHEMA, rule="P4.6")


def moved(record: Evidence, live: LiveState) -> list[Diagnostic]:
    """What is live now otherwise than the record says, by name."""
    return [error("evidence-outdated", f"{record.environment.name} is no longer what its evidence is about: {address}.",
                  f"{what}: {before} → {after}", "Apply it, to green gates again; that leaves new evidence.",
                  address=address, rule="P3.2")
            for address, what, before, after in _moves(record, live.by_address) if before != after]


def _moves(record: Evidence, live: Mapping[Address, Observation]) -> Iterable[tuple[Address, str, Any, Any]]:
    yield wiring.SCHEMA, "revision", record.head, _now(live, wiring.SCHEMA, "revision")
    for address in _APPS:
        yield address, "revision", record.revisions.get(str(address)), _now(live, address, "revision")
    yield wiring.CUTOVER, "group", record.cutover.get("group"), _now(live, wiring.CUTOVER, "group")


def _now(live: Mapping[Address, Observation], address: Address, key: str) -> Any:
    seen = live.get(address)
    if seen is None or not seen.exists:
        return None
    return "(cannot be read)" if seen.unreadable else seen.attributes.get(key)
