"""Gates: the SLOs held against what was measured (P8). Pass, fail, or no data, which never passes.

Owns which gates there are, what each reads and how it is judged. Must not: make load or scrape; that is `smoke.load`'s
part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import floor
from typing import Any

from engine.kinds import wiring
from engine.kinds.backfill import describe_source
from engine.kinds.base import Needs, goes_with
from engine.kinds.books import read_books, unbalanced_pairs
from engine.kinds.migrate import revisions_head
from engine.kinds.proof import decide_proof, observe_proof, subject
from engine.kinds.reconciling import Asked, reconcile
from engine.kinds.records import insert_proof, last_proof, live_revisions
from engine.model.address import Address
from engine.model.change import Change
from engine.model.diagnostic import Refused, error
from engine.model.manifest import Manifest, PostgresSource
from engine.model.step import Step
from engine.model.value import Attributes, Value
from engine.providers.base import Capabilities, Context

Measured = Mapping[str, Any]


def _window(change: Change, needs: Needs, context: Context) -> Measured:
    """What the load's window said; nothing where it was not measured."""
    proof = last_proof(needs.database, str(wiring.LOAD))
    if proof is None or proof.outcome != "pass":
        return {}
    return {**proof.detail.get("measured", {}), "window_s": proof.detail.get("window_s")}


def _pairs(change: Change, needs: Needs, context: Context) -> Measured:
    """The window's pairs, and which of the complete ones do not cancel."""
    measured = _window(change, needs, context)
    return {**measured, "unbalanced": unbalanced_pairs(needs.database)} if "pairs" in measured else measured


def _books(change: Change, needs: Needs, context: Context) -> Measured:
    """The stream's books now."""
    books = read_books(needs.database)
    if books is None or not books.partitions or books.unread:
        return {"why": "the stream has booked nothing" if books is None or not books.partitions
                else f"{', '.join(books.unread)} was never read"}
    return {"books": {"off": books.off, "records": sum(p.consumed for p in books.partitions),
                      "partitions": len(books.partitions)}}


def _reconciled(change: Change, needs: Needs, context: Context) -> Measured:
    """The source against the store; where one of the two cannot be read there is no data, and the reason."""
    source = change.spec["source"]
    assert isinstance(source, Mapping)
    try:
        found = reconcile(needs, source, Asked(live=bool(change.spec["source_is_live"])), context,
                          address=change.address)
    except Refused as refused:
        return {"why": refused.diagnostics[0].summary}
    return {"reconcile": found}


def _reconciled_basis(measured: Measured) -> str:
    tables = measured["reconcile"]["tables"].values()
    words = [f"{sum(t[name] for t in tables)} {name}" for name in ("missing", "extra", "stale", "diverged")
             if any(t[name] for t in tables)]
    return ", ".join([f"{sum(t['source_rows'] for t in tables):,} rows of the source", *words])


@dataclass(frozen=True, slots=True)
class Gate:
    """One SLO: where its limit is declared, what is read, how it is judged.

    `value` gives what was measured in `unit`s, or None where there is no data; `basis` says what it rests on.
    `at_least` where the limit is a floor; else it is a ceiling. `window`: the seconds that it speaks of, where they are
    not the load's.
    """

    path: str
    unit: str
    limit: Callable[[Manifest], float]
    value: Callable[[Measured], float | None]
    basis: Callable[[Measured], str]
    at_least: bool = False
    measure: Callable[[Change, Needs, Context], Measured] = _window
    window: Callable[[Manifest], float | None] = lambda m: None


GATES: Mapping[str, Gate] = {
    "api": Gate("slo.api_p95", "ms", lambda m: m.slo.api_p95.total_seconds() * 1000,
                lambda w: w["api"]["p95_s"] * 1000 if "api" in w else None,
                lambda w: f"p95 of {w['api']['requests']} look-ups"),
    "freshness": Gate("slo.freshness_p95", "s", lambda m: m.slo.freshness_p95.total_seconds(),
                      lambda w: w["freshness"]["p95_s"] if "freshness" in w else None,
                      lambda w: f"p95 of {w['freshness']['scrapes']} scrapes"),
    "lag": Gate("slo.lag_p95", "records", lambda m: float(m.slo.lag_p95),
                lambda w: float(w["lag"]["p95"]) if "lag" in w else None,
                lambda w: f"p95 of {w['lag']['scrapes']} scrapes"),
    "errors": Gate("slo.error_rate", "%", lambda m: m.slo.error_rate * 100,
                   lambda w: w["errors"]["share"] * 100 if "errors" in w else None,
                   lambda w: f"{w['errors']['errors']} of {w['errors']['requests']} look-ups",
                   window=lambda m: m.slo.error_window.total_seconds()),
    "dlq": Gate("slo.dlq_new", "rows", lambda m: float(m.slo.dlq_new),
                lambda w: float(w["dlq"]["new"]) if "dlq" in w else None,
                lambda w: "new rows in the DLQ in slo.dlq_window",
                window=lambda m: m.slo.dlq_window.total_seconds()),
    "pairs": Gate("slo.complete_pairs", "%", lambda m: m.slo.complete_pairs * 100,
                  lambda w: (w["pairs"]["complete"] - w.get("unbalanced", 0)) / w["pairs"]["total"] * 100
                  if "pairs" in w else None,
                  lambda w: f"{w['pairs']['complete'] - w.get('unbalanced', 0)} of {w['pairs']['total']} settled pairs",
                  at_least=True, measure=_pairs),
    "books": Gate("slo.books_off", "records", lambda m: float(m.slo.books_off),
                  lambda w: float(w["books"]["off"]) if "books" in w else None,
                  lambda w: f"off, of {w['books']['records']:,} in {w['books']['partitions']} partitions",
                  measure=_books),
    "reconcile": Gate("slo.differences", "rows", lambda m: float(m.slo.differences),
                      lambda w: float(w["reconcile"]["differences"]) if "reconcile" in w else None, _reconciled_basis,
                      measure=_reconciled),
}
REVISION = Address("gate", "revision")


class GateKind:
    """See the module."""

    name = "gate"
    proves = True
    reads_by = ("head", "limit", "unit", "of_service", "window_s", "source", "source_is_live")
    ready_seconds = 5.0

    def steps(self, manifest: Manifest) -> Iterable[Step]:
        """The schema's revision, and one gate an SLO; what has no source has nothing to reconcile."""
        yield Step(REVISION, {"head": revisions_head(manifest), "of_service": False}, frozenset({wiring.SCHEMA}),
                   frozenset({wiring.SCHEMA}), manifest.where("migrations"))
        for name, gate in GATES.items():
            needs = {wiring.LOAD, wiring.SCHEMA}
            spec: dict[str, Value] = {"limit": gate.limit(manifest), "unit": gate.unit, "of_service": True,
                                      "window_s": gate.window(manifest)}
            if name == "reconcile":
                source = manifest.backfill.source
                if source is None:
                    continue
                needs |= {wiring.BACKFILL, wiring.secret(wiring.CONSUMER_SECRET)}
                if isinstance(source, PostgresSource):
                    needs.add(wiring.secret(source.password))
                spec |= {"source": describe_source(source), "source_is_live": manifest.reconcile.source_is_live}
            yield Step(Address("gate", name), spec, frozenset(needs), frozenset({wiring.SCHEMA}),
                       manifest.where(gate.path))

    observe = staticmethod(observe_proof)
    decide = staticmethod(decide_proof)
    decide_delete = staticmethod(goes_with("the database"))

    def apply(self, change: Change, capabilities: Capabilities, context: Context) -> Attributes:
        """Judge, keep the answer with its run, and fail (exit code 4) on anything but a pass."""
        needs, started = Needs(capabilities), datetime.now(UTC)
        detail = _revision(change, needs) if change.address == REVISION else _judge(change, needs, context)
        insert_proof(needs.database, str(change.address), subject(change.spec, needs), str(detail["outcome"]),
                     started, {**detail, "run": context.run})
        if detail["outcome"] != "pass":
            words = "has no data" if detail["outcome"] == "no-data" else "does not hold"
            raise Refused([error(
                f"gate-{detail['outcome']}", f"The gate {change.address.name} {words}: {detail['says']}.",
                "A gate that cannot be measured never passes." if detail["outcome"] == "no-data" else "",
                "See `txplan status` and `txplan logs`, mend the cause, and apply again; a new window is measured.",
                position=change.source, address=change.address, rule="P8")], exit_code=4)
        return detail

    def ready(self, change: Change, capabilities: Capabilities) -> str | None:
        """A passed gate is ready."""
        return None


def _revision(change: Change, needs: Needs) -> dict[str, Any]:
    live, head = ",".join(live_revisions(needs.database)), change.spec["head"]
    outcome = "pass" if live == head else "fail" if live else "no-data"
    return {"outcome": outcome, "value": live or None, "limit": head,
            "says": f"live revision {live or 'none'}, head {head}"}


def _judge(change: Change, needs: Needs, context: Context) -> dict[str, Any]:
    gate = GATES[change.address.name]
    return judged(gate, gate.measure(change, needs, context), change.spec)


def judged(gate: Gate, measured: Measured, spec: Attributes) -> dict[str, Any]:
    """{outcome, value, limit, unit, window_s, says}: what was measured, held against the limit."""
    value, limit = gate.value(measured), float(str(spec["limit"]))
    bound = f"{'at least' if gate.at_least else 'at most'} {limit:g} {gate.unit}"
    about = {"limit": limit, "unit": gate.unit, "window_s": spec["window_s"] or measured.get("window_s")}
    if value is None:
        why = f"no data ({measured['why']})" if "why" in measured else "no data"
        return {"outcome": "no-data", "value": None, **about, "says": f"{why}, {bound}"}
    held = value >= limit if gate.at_least else value <= limit
    return {"outcome": "pass" if held else "fail", "value": round(value, 4), **about,
            "says": f"{_shown(value, gate)} {gate.unit} ({gate.basis(measured)}), {bound}"}


def _shown(value: float, gate: Gate) -> str:
    """Rounded away from the limit's good side: 99.996 % is never shown as 100 %."""
    if gate.at_least:
        return f"{floor(value * 1000) / 1000:g}"
    return f"{value:.4g}"


KIND = GateKind()
