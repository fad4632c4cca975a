"""Gates: the SLOs held against what was measured (P8). Pass, fail, or no data, which never passes.

Owns which gates there are and how each is judged. Must not: make load or scrape; that is `smoke.load`'s part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import floor
from typing import Any

from engine.kinds import wiring
from engine.kinds.base import Needs, goes_with
from engine.kinds.migrate import revisions_head
from engine.kinds.proof import decide_proof, observe_proof, subject
from engine.kinds.records import insert_proof, last_proof, live_revisions
from engine.model.address import Address
from engine.model.change import Change
from engine.model.diagnostic import Refused, error
from engine.model.manifest import Manifest
from engine.model.step import Step
from engine.model.value import Attributes, Value
from engine.providers.base import Capabilities, Context

Measured = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Gate:
    """One SLO on the window: where its limit is declared, how it is judged.

    `value` gives what was measured in `unit`s, or None where there is no data; `basis` says what it rests on.
    `at_least` where the limit is a floor; else it is a ceiling.
    """

    path: str
    unit: str
    limit: Callable[[Manifest], float]
    value: Callable[[Measured], float | None]
    basis: Callable[[Measured], str]
    at_least: bool = False


GATES: Mapping[str, Gate] = {
    "api": Gate("slo.api_p95", "ms", lambda m: m.slo.api_p95.total_seconds() * 1000,
                lambda w: w["api"]["p95_s"] * 1000 if "api" in w else None,
                lambda w: f"p95 of {w['api']['requests']} look-ups"),
    "freshness": Gate("slo.freshness_p95", "s", lambda m: m.slo.freshness_p95.total_seconds(),
                      lambda w: w["freshness"]["p95_s"] if "freshness" in w else None,
                      lambda w: f"p95 of {w['freshness']['scrapes']} scrapes"),
    "errors": Gate("slo.error_rate", "%", lambda m: m.slo.error_rate * 100,
                   lambda w: w["errors"]["share"] * 100 if "errors" in w else None,
                   lambda w: f"{w['errors']['errors']} of {w['errors']['requests']} look-ups"),
    "dlq": Gate("slo.dlq_new", "rows", lambda m: float(m.slo.dlq_new),
                lambda w: float(w["dlq"]["new"]) if "dlq" in w else None,
                lambda w: "new rows in the DLQ in slo.dlq_window"),
    "pairs": Gate("slo.complete_pairs", "%", lambda m: m.slo.complete_pairs * 100,
                  lambda w: w["pairs"]["complete"] / w["pairs"]["total"] * 100 if "pairs" in w else None,
                  lambda w: f"{w['pairs']['complete']} of {w['pairs']['total']} settled pairs", at_least=True),
}
REVISION = Address("gate", "revision")


class GateKind:
    """See the module."""

    name = "gate"
    proves = True
    reads_by = ("head", "limit", "unit", "of_service")
    ready_seconds = 5.0

    def steps(self, manifest: Manifest) -> Iterable[Step]:
        """The schema's revision, and one gate an SLO on the load's window."""
        yield Step(REVISION, {"head": revisions_head(manifest), "of_service": False}, frozenset({wiring.SCHEMA}),
                   frozenset({wiring.SCHEMA}), manifest.where("migrations"))
        for name, gate in GATES.items():
            spec: dict[str, Value] = {"limit": gate.limit(manifest), "unit": gate.unit, "of_service": True}
            yield Step(Address("gate", name), spec, frozenset({wiring.LOAD, wiring.SCHEMA}),
                       frozenset({wiring.SCHEMA}), manifest.where(gate.path))

    observe = staticmethod(observe_proof)
    decide = staticmethod(decide_proof)
    decide_delete = staticmethod(goes_with("the database"))

    def apply(self, change: Change, capabilities: Capabilities, context: Context) -> Attributes:
        """Judge, keep the answer, and fail (exit code 4) on anything but a pass."""
        needs, started = Needs(capabilities), datetime.now(UTC)
        detail = _revision(change, needs) if change.address == REVISION else _judge(change, needs)
        insert_proof(needs.database, str(change.address), subject(change.spec, needs), str(detail["outcome"]),
                     started, detail)
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


def _judge(change: Change, needs: Needs) -> dict[str, Any]:
    gate = GATES[change.address.name]
    proof = last_proof(needs.database, str(wiring.LOAD))
    measured: Measured = proof.detail.get("measured", {}) if proof and proof.outcome == "pass" else {}
    value, limit = gate.value(measured), float(str(change.spec["limit"]))
    bound = f"{'at least' if gate.at_least else 'at most'} {limit:g} {gate.unit}"
    if value is None:
        return {"outcome": "no-data", "value": None, "limit": limit, "unit": gate.unit, "says": f"no data, {bound}"}
    held = value >= limit if gate.at_least else value <= limit
    return {"outcome": "pass" if held else "fail", "value": round(value, 4), "limit": limit, "unit": gate.unit,
            "says": f"{_shown(value, gate)} {gate.unit} ({gate.basis(measured)}), {bound}"}


def _shown(value: float, gate: Gate) -> str:
    """Rounded away from the limit's good side: 99.996 % is never shown as 100 %."""
    if gate.at_least:
        return f"{floor(value * 1000) / 1000:g}"
    return f"{value:.4g}"


KIND = GateKind()
