"""Status: how an environment is now, from what runs and from what it has recorded. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from engine.kinds.base import Needs
from engine.kinds.measure import summary_now
from engine.kinds.records import CutoverRecord, active_cutover, live_revisions, read, why_unreadable
from engine.model.evidence import measured
from engine.model.step import Environment
from engine.providers.base import AppState, Capabilities, LockHolder


@dataclass(frozen=True, slots=True)
class ProofLine:
    """The newest answer of one smoke or gate step."""

    step: str
    outcome: str
    says: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """All that there is to say; empty parts where nothing exists or answers. `now` maps a word to a number."""

    environment: str
    exists: bool
    servers: Mapping[str, str]
    database: str
    revisions: tuple[str, ...]
    cutover: CutoverRecord | None
    apps: tuple[AppState, ...]
    waiting: Mapping[str, str]
    now: Mapping[str, float]
    rows: Mapping[str, int]
    proofs: tuple[ProofLine, ...]
    lock: LockHolder | None


def read_status(environment: Environment, capabilities: Capabilities) -> Status:
    """The status of an environment; what does not answer is left out and named."""
    needs = Needs(capabilities)
    group = capabilities.resources["group"].inventory()
    trouble = why_unreadable(needs.database) if group else "there is no environment"
    apps = [state for name in needs.apps.names() if (state := needs.apps.describe(name)) is not None]
    samples = [s for app in apps for s in needs.metrics.scrape(app.name)]
    up = not trouble
    return Status(
        environment.name, bool(group), _servers(capabilities), trouble or "answers",
        tuple(live_revisions(needs.database)) if up else (), active_cutover(needs.database) if up else None,
        tuple(apps), {app.name: why for app in apps if (why := needs.apps.ready(app.name)) is not None},
        summary_now(samples), _rows(needs) if up else {}, _proofs(needs) if up else (), capabilities.lock.holder())


def _servers(capabilities: Capabilities) -> dict[str, str]:
    """The environment's resources that serve by themselves: `up`, or what they need."""
    found: dict[str, str] = {}
    for type_ in ("postgres", "namespace"):
        resource = capabilities.resources[type_]
        for name in resource.inventory():
            live = resource.observe(name)
            if live is not None:
                needs = live.get("needs")
                engine = f" ({live['engine']})" if "engine" in live else ""
                found[f"{type_} {name}{engine}"] = f"needs {', '.join(map(str, needs))}" if isinstance(
                    needs, list | tuple) and needs else "up"
    return found


def _rows(needs: Needs) -> dict[str, int]:
    """Rows of the tables and of the DLQ, counted: an estimate reads as a loss after a crash."""
    found = read(needs.database, sql.SQL(
        "SELECT 'ledger_entries', count(*) FROM bo.ledger_entries "
        "UNION ALL SELECT 'payment_orders', count(*) FROM bo.payment_orders ORDER BY 1"), {})
    dead = read(needs.database, sql.SQL("SELECT count(*) FROM bo.consumer_dlq_events WHERE resolved_at IS NULL"), {})
    return {**{str(name): int(count) for name, count in found}, **({"dlq": int(dead[0][0])} if dead else {})}


def _proofs(needs: Needs) -> tuple[ProofLine, ...]:
    rows = read(needs.database, sql.SQL(
        "SELECT DISTINCT ON (step) step, outcome, finished_at, detail FROM bo.proofs ORDER BY step, id DESC"), {})
    return tuple(ProofLine(step, outcome, measured(detail), at) for step, outcome, at, detail in rows)
