"""Migrations under guard: landed revisions, contracting ones, and a schema changed by hand, on a real server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory

from engine.kinds import wiring
from engine.kinds.contracting import taken
from engine.kinds.migrate import KIND
from engine.model.change import Action, Change
from engine.model.observation import Observation
from engine.model.plan import Plan
from engine.model.verdict import Outcome
from tests.local.environment import Local, destroyed, open_local
from tests.support.postgres import MIGRATIONS

from .judging import codes, evidence, graph_of, planned

HEAD = str(ScriptDirectory(str(MIGRATIONS)).get_current_head())
_REVISION = '"""{message}."""\nfrom alembic import op\n\nrevision = "{name}"\ndown_revision = "{down}"\n{more}\n' \
            'def upgrade() -> None:\n    op.execute("{sql}")\n'
_LANDED = sorted(r.revision for r in ScriptDirectory(MIGRATIONS).walk_revisions())
HEAD = _LANDED[-1]
_COVERING = "ALTER TABLE bo.payment_orders ADD COLUMN IF NOT EXISTS note_of_hand text"


@dataclass
class Chain:
    """A folder of migrations that a test may change, and the database that they run on."""

    folder: Path
    local: Local

    @property
    def versions(self) -> Path:
        return self.folder / "migrations" / "versions"

    def write(self, name: str, down: str, sql: str, more: str = "") -> Path:
        path = self.versions / f"{name}.py"
        path.write_text(_REVISION.format(message=name, name=name, down=down, sql=sql, more=more))
        return path

    def step(self) -> Any:
        _, graph = graph_of(self.folder, migrations="./migrations")
        return graph.steps[wiring.SCHEMA]

    def look(self) -> Observation:
        return KIND.observe(self.step(), self.local.target)

    def plan(self, **live: Any) -> Plan:
        return planned(self.folder, live.get("live"), seen={wiring.SCHEMA: self.look()}, migrations="./migrations")

    def migrate(self) -> None:
        step = self.step()
        decision = KIND.decide(step, self.look(), {})
        assert decision.action is Action.RUN
        change = Change(step.address, decision.action, step.spec, frozenset(), "", None)
        KIND.apply(change, self.local.target, self.local.context)
        assert KIND.ready(change, self.local.target) is None
        assert KIND.decide(step, self.look(), {}).action is Action.NOOP


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    shutil.copytree(MIGRATIONS, tmp_path / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
    for local in destroyed(open_local(tmp_path / "state")):
        local.make_database()
        yield Chain(tmp_path, local)


def test_what_landed_is_kept_and_what_is_done_by_hand_is_named(chain: Chain) -> None:
    assert codes(chain.plan()) == set()
    chain.migrate()
    assert (codes(chain.plan()), codes(chain.plan(), Outcome.WARN)) == (set(), set())
    assert ", ".join(_LANDED) in evidence(chain.plan(), "landed-migrations")

    chain.local.query("bo_migrator", "ALTER TABLE bo.payment_orders ADD COLUMN note_of_hand text")
    chain.local.query("bo_migrator", "DROP INDEX bo.ledger_entries_wallet")
    seen = chain.plan()
    assert (codes(seen), codes(seen, Outcome.WARN)) == (set(), {"schema-drift"})
    found = evidence(seen, "live-schema-is-head")
    assert "column bo.payment_orders.note_of_hand" in found and "bo.ledger_entries_wallet" in found

    # A revision that covers one of the two leaves the other one named, though its own statement changed nothing.
    chain.write("9001", HEAD, _COVERING)
    chain.migrate()
    found = evidence(chain.plan(), "live-schema-is-head")
    assert "note_of_hand" not in found and "bo.ledger_entries_wallet" in found
    assert chain.local.query("postgres", "SELECT count(*) FROM pg_database WHERE datname ~ 'txplan_'") == 0

    chain.local.query("bo_migrator", "CREATE INDEX ledger_entries_wallet ON bo.ledger_entries "
                                     "(wallet_id, event_time DESC)")
    assert codes(chain.plan(), Outcome.WARN) == set()


def test_a_landed_revision_is_neither_edited_nor_deleted_nor_moved(chain: Chain) -> None:
    first = chain.write("9001", HEAD, _COVERING)
    second = chain.write("9002", "9001", "COMMENT ON TABLE bo.payment_orders IS 'orders'")
    chain.migrate()
    kept = {path: path.read_text() for path in (first, second)}

    first.write_text(kept[first] + "# a comment\n")
    assert codes(chain.plan()) == {"landed-revision"}
    first.write_bytes(kept[first].replace("\n", "\r\n").encode())
    assert codes(chain.plan()) == set(), "another checkout may end its lines otherwise"

    first.unlink()
    second.write_text(kept[second].replace('down_revision = "9001"', f'down_revision = "{HEAD}"'))
    seen = chain.plan()
    assert codes(seen) == {"landed-revision"}
    told = evidence(seen, "landed-migrations")
    assert "lacks it" in told and f"follows {HEAD}" in told

    for path, text in kept.items():
        path.write_text(text)
    assert codes(chain.plan()) == set()


def test_a_record_that_was_cut_off_is_made_up_for(chain: Chain) -> None:
    chain.migrate()
    chain.local.query("bo_migrator", "DELETE FROM bo.landed_catalog")
    chain.local.query("bo_migrator", "DELETE FROM bo.landed_revisions")
    chain.migrate()
    assert codes(chain.plan(), Outcome.WARN) == set()
    assert ", ".join(_LANDED) in evidence(chain.plan(), "landed-migrations")


def test_contracting_waits_for_the_application(tmp_path: Path) -> None:
    shutil.copytree(MIGRATIONS, tmp_path / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
    chain = Chain(tmp_path, open_local(tmp_path / "state"))
    behind = {"migrate.schema": {"attributes": {"revision": HEAD}}}
    older = {"app.api": {"attributes": {"revision": "an older one"}}}

    def seen(**live: Any) -> set[str]:
        return codes(planned(tmp_path, {**behind, **live}, migrations="./migrations"))

    path = chain.write("9001", HEAD, "ALTER TABLE bo.payment_orders DROP COLUMN merchant_name")
    assert seen() == {"contract-too-early"}, "the application names the column"
    path = chain.write("9001", HEAD, "ALTER TABLE bo.payment_orders DROP COLUMN nobody_names_this")
    assert seen(**older) == {"contract-too-early"}, "what runs is not what is here"
    assert seen() == set()
    path.unlink()
    chain.write("9001", HEAD, "SELECT 1", more='contracts = ["bo.payment_orders.merchant_name"]\n')
    assert seen() == {"contract-too-early"}, "it says so itself"
    assert codes(planned(tmp_path, built=False, migrations="./migrations")) == set(), "nothing runs yet"


@pytest.mark.parametrize(("sql", "found"), [
    ("DROP TABLE IF EXISTS bo.a, bo.b CASCADE;\n", {("drops", "bo.a"), ("drops", "bo.b")}),
    ('ALTER TABLE ONLY bo.t\n  DROP COLUMN "c", DROP COLUMN IF EXISTS d;\n',
     {("drops", "bo.t.c"), ("drops", "bo.t.d")}),
    ("alter table bo.t rename to u;\n", {("renames", "bo.t")}),
    ("ALTER TABLE bo.t RENAME a TO b;\nALTER TABLE bo.t RENAME COLUMN c TO d;\n",
     {("renames", "bo.t.a"), ("renames", "bo.t.c")}),
    ("ALTER TABLE bo.t ALTER COLUMN a TYPE int;\nALTER TABLE bo.t ALTER b SET NOT NULL;\n",
     {("narrows", "bo.t.a"), ("narrows", "bo.t.b")}),
    ("-- DROP TABLE bo.t;\nALTER TABLE bo.t ADD COLUMN a int;\nALTER TABLE bo.t RENAME CONSTRAINT a TO b;\n", set()),
    ("DROP FUNCTION bo.f(text, integer);\nDROP INDEX bo.i;\n", {("drops", "bo.f")}),
])
def test_what_takes_something_away(sql: str, found: set[tuple[str, str]]) -> None:
    assert set(taken(sql)) == found
