"""What is read of environments for the page, each part as JSON values and by itself, so that one that does not answer
takes none of the others with it.

Owns: which reader of the engine each part comes from, and the shape of its JSON. Must not: write, but for the audit row
that a look at a record leaves, and a replay where one is asked for.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from engine.kinds import deadletters
from engine.kinds.base import Needs
from engine.kinds.books import read_books
from engine.kinds.measure import summary_now
from engine.kinds.records import gate_answers
from engine.model.codec import encode
from engine.model.diagnostic import Refused, error
from engine.model.step import Environment
from engine.planning.coverage import read_coverage
from engine.planning.evidence import problems
from engine.planning.evidence_file import load_evidence
from engine.planning.listing import listed
from engine.planning.status import read_status
from engine.planning.timeline import LANES, timeline
from engine.providers.base import Capabilities, Context, Known, LockHolder
from engine.render import deadletters_text, listing_text, timeline_svg, words
from engine.render.paint import plain
from engine.ui.runs import Runs
from engine.ui.samples import Samples

ANSWERS = 40
"""How many answers of each gate are shown."""
LETTERS = 20
"""How many dead letters a page of them holds."""
RECORDS = 20
"""How many evidence records are shown, the newest first."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie, and how a target is opened: given by the command line, which alone knows."""

    known: Callable[[], Sequence[Known]]
    open_target: Callable[[Environment], Capabilities]
    plan: Callable[[str], Path]
    journal: Callable[[str], Path]
    evidence: Callable[[str], Path]
    planned: Callable[[], Sequence[str]]
    """Names of the environments that were planned here, live or not."""
    now: Callable[[], datetime]
    actor: str
    """Who looks, for the audit."""


class Reader:
    """Reads the environments `only` (all that are live or were planned here, where empty). Safe for several threads."""

    def __init__(self, places: Places, only: Sequence[str] = ()) -> None:
        self._places, self._only = places, frozenset(only)
        self.samples = Samples()
        self._runs: dict[str, Runs] = {}
        self._lock = threading.Lock()

    # Which there are

    def names(self) -> list[str]:
        """All that may be watched, live ones first."""
        live = [k.environment.name for k in self._places.known()]
        every = dict.fromkeys([*live, *sorted(self._places.planned())])
        return [name for name in every if not self._only or name in self._only]

    def environments(self) -> list[dict[str, Any]]:
        """Every environment with owner, ttl and health."""
        known, now = {k.environment.name: k for k in self._places.known()}, self._places.now()
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda name: self._listed(name, known.get(name), now), self.names()))

    def _listed(self, name: str, known: Known | None, now: datetime) -> dict[str, Any]:
        if known is None:
            return {"name": name, "live": False, "health": "not live", "serves": False}
        try:
            one = listed(known, self._places.open_target(known.environment), now, profile=None, orphans=None)
        except (psycopg.Error, OSError):  # It went while it was read; the next reading says what it is then.
            return {"name": name, "live": False, "health": "cannot be read now", "serves": False}
        return {"name": name, "live": True, "owner": one.owner, "target": one.target, "age_s": round(one.age_s),
                "ttl": listing_text.left(one), "expired": one.expired, "near": listing_text.near(one, 3),
                "health": one.health, "serves": one.serves, "stranger": one.stranger,
                "lock": f"{one.lock.purpose} by {one.lock.who}@{one.lock.host}" if one.lock else ""}

    def runs(self, name: str) -> Runs:
        """The runs of an environment; Refused where it may not be watched or is not known here."""
        if name not in self.names():
            raise Refused([error("unknown-environment", f"No environment {name!r} is watched here.")])
        with self._lock:
            return self._runs.setdefault(name, Runs(name, self._places.plan(name), self._places.journal(name),
                                                    lambda planned: self._holder(name, planned)))

    def _holder(self, name: str, planned: Environment | None) -> LockHolder | None:
        live = (k.environment for k in self._places.known() if k.environment.name == name)
        environment = next(live, planned)
        return self._places.open_target(environment).lock.holder() if environment else None

    def _live(self, name: str) -> tuple[Environment, Capabilities]:
        self.runs(name)
        for known in self._places.known():
            if known.environment.name == name:
                return known.environment, self._places.open_target(known.environment)
        raise Refused([error("not-live", f"{name} is not live here.", mend="Bring it up: txplan apply MANIFEST")])

    # Its parts

    def service(self, name: str) -> dict[str, Any]:
        """Servers, apps, rows, what they measure now and measured since the server watches."""
        environment, capabilities = self._live(name)
        status = read_status(environment, capabilities)
        apps = [{"name": a.name, "revision": a.revision, "running": a.running, "replicas": a.replicas,
                 "waits": status.waiting.get(a.name, "")} for a in status.apps]
        return {"servers": dict(status.servers), "database": status.database, "revisions": list(status.revisions),
                "apps": apps, "rows": dict(status.rows), "now": dict(status.now), "samples": self.samples.of(name)}

    def sample(self) -> None:
        """Take one sample of each live environment."""
        for known in self._places.known():
            name = known.environment.name
            if self._only and name not in self._only:
                continue
            with contextlib.suppress(Refused, OSError):  # A sample that could not be taken is a gap.
                needs = Needs(self._places.open_target(known.environment))
                found = [s for app in needs.apps.names() for s in needs.metrics.scrape(app)]
                self.samples.add(name, self._places.now(), summary_now(found))

    def cutover(self, name: str) -> dict[str, Any]:
        """The timeline as a picture and as rows, the partitions, and until when the stream can be replayed."""
        environment, capabilities = self._live(name)
        seen = read_coverage(environment, capabilities)
        line = timeline(seen)
        return {"generation": line.generation, "group": line.group, "state": seen.cutover.state,
                "members": seen.group.members, "group_state": seen.group.state,
                "picture": timeline_svg.render(line, plain), "lanes": [list(lane) for lane in LANES],
                "before": sorted(line.before),
                "marks": [{"at": m.at.isoformat(timespec="seconds"), "what": m.what, "lanes": sorted(m.lanes)}
                          for m in line.marks],
                "partitions": [{**encode(p), "lag": p.lag} for p in seen.partitions],
                "backfill": encode({k: v for k, v in (seen.backfill or {}).items() if k in _BACKFILL}),
                "backfill_left_s": seen.backfill_left_s, "warnings": [w.summary for w in seen.warnings]}

    def gates(self, name: str) -> list[dict[str, Any]]:
        """Each gate with its answers, oldest first."""
        answers = gate_answers(Needs(self._live(name)[1]).database, None, ANSWERS)
        found: dict[str, list[dict[str, Any]]] = {}
        for one in answers:
            kept = {key: one.detail.get(key) for key in ("value", "limit", "unit", "window_s", "run", "says")}
            found.setdefault(one.step.removeprefix("gate."), []).append(
                {"outcome": one.outcome, "at": one.at.isoformat(timespec="seconds"), **kept})
        return [{"gate": gate, "answers": some} for gate, some in found.items()]

    def books(self, name: str) -> dict[str, Any] | None:
        """The stream's books and the pairs by their state; None before the first cutover."""
        found = read_books(Needs(self._live(name)[1]).database)
        if found is None:
            return None
        return {"group": found.group, "off": found.off, "pairs": dict(found.pairs), "unbalanced": found.unbalanced,
                "unread": list(found.unread),
                "partitions": [{**encode(p), "unbooked": p.unbooked, "passed_over": p.passed_over}
                               for p in found.partitions]}

    def letters(self, name: str, *, resolved: bool, error_class: str | None, page: int) -> dict[str, Any]:
        """A page of dead letters without their content, the newest first, and how many there are of each class."""
        database = Needs(self._live(name)[1]).database
        chosen = deadletters.Filter(error_class=error_class)
        found = deadletters.newest(database, chosen, resolved=resolved, limit=page * LETTERS + 1)
        classes = deadletters.by_class(database, deadletters.Filter(), resolved=resolved)
        return {"page": page, "more": len(found) > page * LETTERS, "letters": [_letter(one) for one in found[
            (page - 1) * LETTERS:page * LETTERS]],
            "classes": {words.safe(name): count for name, count in classes.items()}}

    def letter(self, name: str, id_: int) -> dict[str, Any]:
        """One dead letter with its key and payload, escaped as for a terminal; leaves an audit row."""
        found = deadletters.content(Needs(self._live(name)[1]).database, id_, self._places.actor)
        if found is None:
            raise Refused([error("unknown-dead-letter", f"{name} has no dead letter {id_}.")])
        cut = (found.payload or b"")[:deadletters_text.SHOWN]
        return {**_letter(found.letter), "key": None if found.key is None else words.safe(found.key),
                "payload": None if found.payload is None else words.safe(cut),
                "left": found.letter.size - len(cut)}

    def replay(self, name: str, id_: int) -> Mapping[str, Any]:
        """Send one dead letter the way of a fresh record, as `txplan dlq replay` does; what became of it."""
        return deadletters.replay(Needs(self._live(name)[1]), deadletters.Filter(ids=[id_]), self._places.actor,
                                  Context(lambda _: None, lambda: False))

    def evidence(self, name: str) -> list[dict[str, Any]]:
        """The newest records, each with what makes it no ground to build on; not held against what is live."""
        self.runs(name)
        paths = sorted(self._places.evidence(name).glob("*.json"), key=lambda p: p.stat().st_mtime, reverse=True)
        return [self._evidence(path) for path in paths[:RECORDS]]

    def _evidence(self, path: Path) -> dict[str, Any]:
        try:
            record = load_evidence(path)
        except Refused as refused:
            return {"id": path.stem, "at": "", "problems": [d.summary for d in refused.diagnostics]}
        return {"id": path.stem, "at": record.made_at.isoformat(timespec="seconds"), "by": record.made_by,
                "on": record.made_on, "run": record.run, "head": record.head, "code": record.code,
                "proofs": [{"step": str(p.address), "outcome": p.outcome, "says": str(p.detail.get("says", ""))}
                           for p in record.proofs],
                "overrides": [{"guardrail": o.guardrail, "reason": o.reason} for o in record.overrides],
                "problems": [d.summary for d in problems(record, self._places.now())]}


_BACKFILL = ("state", "rows_read", "rows_applied", "rows_dlq", "rows_total", "rows_per_s", "started_at", "finished_at")


def _letter(one: deadletters.Letter) -> dict[str, Any]:
    return {"id": one.id, "place": deadletters_text.place(one), "class": words.safe(one.error_class),
            "detail": words.safe(one.error_detail), "at": one.created_at.isoformat(timespec="seconds"),
            "resolved": one.resolved_at.isoformat(timespec="seconds") if one.resolved_at else None, "size": one.size}
