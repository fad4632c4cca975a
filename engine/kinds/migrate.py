"""Migrate: the schema, by Alembic revisions alone (P2.2, P4).

Owns which revisions are to run, and what is kept of those that landed: their fingerprints, and the schema that they
make. Must not: contain any schema, or change one otherwise.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from alembic.util import CommandError, to_tuple

from engine.kinds import catalog, cloud, holdings, wiring
from engine.kinds.base import Needs, goes_with, unreadable
from engine.kinds.contracting import contracts
from engine.kinds.jobs import run_job
from engine.kinds.migration_sql import explained
from engine.kinds.records import live_revisions, why_unreadable
from engine.model.address import Address, Position
from engine.model.change import Action, Change, Decision, Diff, Reason
from engine.model.diagnostic import Diagnostic, Refused, error
from engine.model.manifest import Manifest
from engine.model.observation import Observation
from engine.model.step import Step
from engine.model.value import Attributes, Value
from engine.providers.base import ASIDE, Capabilities, Context, Progress

_ADMIN = "postgres"


class MigrateKind:
    """See the module."""

    name = "migrate"
    proves = False
    reads_by = ()
    ready_seconds = 5.0

    def steps(self, manifest: Manifest) -> Iterable[Step]:
        """One step: the schema at the head of `migrations`."""
        chain = revisions(Path(manifest.migrations), manifest.where("migrations"))
        yield Step(wiring.SCHEMA,
                   {"migrations": manifest.migrations, "head": chain[-1]["revision"], "chain": chain},
                   frozenset({wiring.DATABASE, wiring.secret(wiring.MIGRATOR_SECRET)}) | cloud.for_runs(manifest),
                   frozenset({wiring.DATABASE}), manifest.where("migrations"))

    def observe(self, step: Step, capabilities: Capabilities) -> Observation:
        """The live revision, what landed, and how the live schema differs from what the landed revisions make."""
        database = Needs(capabilities).database
        if why := why_unreadable(database):
            return unreadable(step.address, why)
        live = live_revisions(database)
        if not live:
            return Observation(step.address, False)
        kept = catalog.kept_catalog(database)
        drift = catalog.differences(kept, catalog.live_catalog(database)) if kept else []
        return Observation(step.address, True, {"revision": ",".join(live), "landed": catalog.landed(database),
                                                "drift": drift}, {"holds": holdings.tables(database) or None})

    def decide(self, step: Step, seen: Observation, upstream: Mapping[Address, Action]) -> Decision:
        """Run the revisions between the live one and head; refuse a live one that is not in the chain."""
        chain: Any = step.spec["chain"]
        names = [r["revision"] for r in chain]
        live = str(seen.attributes["revision"]) if seen.exists else None
        if live is not None and live not in names:
            problem = error("unknown-revision", f"The live schema is at revision {live}, which migrations/ lacks.",
                            f"migrations/ knows {', '.join(names)}.",
                            "Bring the missing revision back; a landed one never goes (P4.3).",
                            address=step.address, rule="P4.3")
            return Decision(Action.NOOP, diagnostics=(problem,))
        pending = chain[names.index(live) + 1:] if live is not None else chain
        if not pending:
            return _keeping(step, seen)
        reason = Reason("behind" if live else "absent", f"The live schema is at {live}; head is {names[-1]}." if live
                        else "The schema does not exist yet.", step.source)
        return Decision(Action.RUN, (reason,),
                        (Diff("revision", live, names[-1]),),
                        {"revisions": [f"{r['revision']} {r['message']}" for r in pending],
                         **explained(Path(str(step.spec["migrations"])), pending)})

    decide_delete = staticmethod(goes_with("the database"))

    def apply(self, change: Change, capabilities: Capabilities, context: Context) -> Attributes:
        """`alembic upgrade head` as the migrator, where the environment can be reached; then what landed is kept."""
        needs = Needs(capabilities)
        database, chain = needs.database, change.spec["chain"]
        assert isinstance(chain, list | tuple)
        if moved := self.moved(change):
            raise Refused([moved], exit_code=5)
        clean = catalog.kept_catalog(database) == catalog.live_catalog(database)
        _upgrade(change, needs, context, {})
        # Where the schema was what landed, it is now what the revisions make; else that is found out elsewhere.
        makes = catalog.live_catalog(database) if clean else _made_aside(change, needs, context)
        catalog.land(database, chain, makes)
        return {"revision": change.spec["head"], "says": f"revision {change.spec['head']}"}

    def moved(self, change: Change) -> Diagnostic | None:
        """Whether the revisions are others than the plan was made of."""
        chain: Any = change.spec["chain"]
        here = revisions(Path(str(change.spec["migrations"])), change.source)
        return None if [r["digest"] for r in here] == [r["digest"] for r in chain] else error(
            "migrations-moved", "The migrations are not those of the plan.", "What nobody reviewed is not run.",
            "Plan again.", address=change.address, rule="P4.3")

    def ready(self, change: Change, capabilities: Capabilities) -> str | None:
        """Ready when the live revision is head (P8.1)."""
        live = ",".join(live_revisions(Needs(capabilities).database))
        return None if live == change.spec["head"] else f"the live revision is {live or 'none'}"


def _keeping(step: Step, seen: Observation) -> Decision:
    """Nothing to migrate; what was cut off between an upgrade and keeping what landed is made up for."""
    landed: Any = seen.attributes["landed"]
    if {r["revision"] for r in landed} >= {r["revision"] for r in _chain(step.spec)}:
        return Decision(Action.NOOP)
    return Decision(Action.RUN, (Reason("unkept", "What landed is not kept yet."),))


def _chain(spec: Attributes) -> list[dict[str, str]]:
    chain: Any = spec["chain"]
    return list(chain)


def _upgrade(change: Change, needs: Needs, context: Context, where: Mapping[str, str]) -> None:
    run_job(needs.jobs, change.address,
            [sys.executable, "-m", "streamapp", "migrate", "--dir", str(change.spec["migrations"])],
            {}, {**needs.database.client_environment(wiring.MIGRATOR), **where}, context)


def _made_aside(change: Change, needs: Needs, context: Context) -> dict[str, str]:
    """What the revisions alone make: in an empty database beside the environment's, which is dropped again."""
    context.emit(Progress(note="finding out what the revisions alone make"))
    drop = f"DROP DATABASE IF EXISTS {ASIDE} WITH (FORCE)"
    with needs.database.connect(_ADMIN, database=_ADMIN) as admin:
        admin.autocommit = True  # A database is made and dropped outside of transactions.
        admin.execute(drop.encode())
        admin.execute(f"CREATE DATABASE {ASIDE} OWNER {wiring.MIGRATOR}".encode())
        try:
            _upgrade(change, needs, context, {"PGDATABASE": ASIDE})
            with needs.database.connect(_ADMIN, database=ASIDE) as aside:
                return catalog.catalog_of(aside)
        finally:
            admin.execute(drop.encode())


def revisions(folder: Path, position: Position | None) -> list[dict[str, Value]]:
    """The chain from base to the one head: revision, the one before it (`down`), message and the SHA-256 of its text,
    which is the same whatever ends its lines, and what it takes away.

    Raises Refused where there is no revision, more than one head, or a revision that cannot be read.
    """
    try:
        script = ScriptDirectory(str(folder))
        heads = script.get_heads()
        found = [] if len(heads) != 1 else list(reversed(list(script.walk_revisions("base", heads[0]))))
    except (CommandError, OSError, SyntaxError, ImportError) as problem:
        raise Refused([error("migrations-unreadable", f"The migrations in {folder} cannot be read.", str(problem),
                             "Point `migrations` to an Alembic script folder.", position=position)]) from problem
    if not found:
        raise Refused([error("migrations-heads", f"The migrations in {folder} have {len(heads)} heads; one is needed.",
                             f"Heads: {', '.join(heads) or 'none'}.",
                             "Give the later revision the other one as its down_revision.",
                             position=position, rule="P4.1")])
    return [{"revision": r.revision, "down": ",".join(to_tuple(r.down_revision, ())),
             "message": r.doc.splitlines()[0] if r.doc else "",
             "digest": hashlib.sha256(Path(r.path).read_text(encoding="utf-8").encode()).hexdigest(),
             "contracts": contracts(folder, r)} for r in found]


def revisions_head(manifest: Manifest) -> str:
    """The revision that the live schema shall be at."""
    return str(revisions(Path(manifest.migrations), manifest.where("migrations"))[-1]["revision"])


KIND = MigrateKind()
