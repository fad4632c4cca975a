"""A plan is bound to what it was made of: what has moved is named with how, an old plan is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.applying.apply import refuse_stale
from engine.applying.executor import run_change
from engine.applying.journal import Journal
from engine.model.change import Action
from engine.model.diagnostic import Diagnostic, Refused, error
from engine.model.observation import Observation
from engine.model.plan import Plan
from engine.model.step import Step
from engine.providers.base import Capabilities, Context
from tests.support.filekind import FileKind, change, plan_of

NOTHING = Capabilities({}, None)  # type: ignore[arg-type]


@pytest.fixture
def kind(tmp_path: Path) -> FileKind:
    folder = tmp_path / "files"
    folder.mkdir()
    return FileKind(folder)


def refused(plan: Plan, kind: FileKind, tmp_path: Path) -> list[Diagnostic]:
    before = {p: p.read_bytes() for p in kind.folder.iterdir()}
    with pytest.raises(Refused) as caught:
        refuse_stale(plan, "p", {"file": kind}, NOTHING, Journal(tmp_path / "journal.jsonl"))
    assert caught.value.exit_code == 5
    assert {p: p.read_bytes() for p in kind.folder.iterdir()} == before
    return list(caught.value.diagnostics)


class ShutKind(FileKind):
    """A file that cannot be read refuses."""

    def observe(self, step: Step, capabilities: Capabilities) -> Observation:
        if self.path(step.address).exists() and self.path(step.address).read_text() == "shut":
            raise Refused([error("shut", "It is shut.")])
        return super().observe(step, capabilities)


@pytest.mark.parametrize("then", ["{}", "shut"])
def test_what_is_to_be_deleted_need_not_be_readable(kind: FileKind, tmp_path: Path, then: str) -> None:
    shut = ShutKind(kind.folder)
    (kind.folder / "a.json").write_text("{}")
    delete = replace(change(shut, "a", {}), action=Action.DELETE)
    if then == "shut":  # It could not be read when the plan was made either.
        delete = replace(delete, before=None, before_digest=Observation(delete.address, True, unreadable="").digest)
    (kind.folder / "a.json").write_text("shut")
    refuse_stale(plan_of(delete), "p", {"file": shut}, NOTHING, Journal(tmp_path / "journal.jsonl"))
    run_change(delete, shut, NOTHING, Context(lambda _: None, lambda: False))
    assert not (kind.folder / "a.json").exists()


def test_what_is_to_be_changed_must_be_readable(kind: FileKind, tmp_path: Path) -> None:
    shut = ShutKind(kind.folder)
    (kind.folder / "a.json").write_text("{}")
    plan = plan_of(change(shut, "a", {"size": 2}))
    (kind.folder / "a.json").write_text("shut")
    assert [d.code for d in refused(plan, shut, tmp_path)] == ["shut"]


def test_what_has_not_moved_may_run(kind: FileKind, tmp_path: Path) -> None:
    plan = plan_of(change(kind, "a", {"size": 1}))
    refuse_stale(plan, "p", {"file": kind}, NOTHING, Journal(tmp_path / "journal.jsonl"))


def test_a_moved_step_is_named_with_its_values(kind: FileKind, tmp_path: Path) -> None:
    (kind.folder / "a.json").write_text(json.dumps({"size": 1, "tags": {"ttl": "1", "env": "dev"}}))
    (kind.folder / "b.json").write_text(json.dumps({"size": 1}))
    plan = plan_of(change(kind, "a", {"size": 2, "tags": {"ttl": "1", "env": "dev"}}), change(kind, "b", {"size": 2}))
    (kind.folder / "a.json").write_text(json.dumps({"size": 5, "tags": {"ttl": "9", "env": "dev"}}))
    [found] = refused(plan, kind, tmp_path)
    assert (found.code, str(found.address)) == ("stale-plan", "file.a")
    assert found.detail.splitlines() == ["size: 1 → 5", "tags.ttl: 1 → 9"]


def test_gone_and_come(kind: FileKind, tmp_path: Path) -> None:
    (kind.folder / "a.json").write_text("{}")
    plan = plan_of(change(kind, "a", {"size": 2}), change(kind, "b", {"size": 2}))
    (kind.folder / "a.json").unlink()
    (kind.folder / "b.json").write_text(json.dumps({"size": 7}))
    assert [str(d.address) for d in refused(plan, kind, tmp_path)] == ["file.a", "file.b"]


def test_what_is_already_so_is_not_stale(kind: FileKind, tmp_path: Path) -> None:
    plan = plan_of(change(kind, "a", {"size": 2}))
    (kind.folder / "a.json").write_text(json.dumps({"size": 2}))
    refuse_stale(plan, "p", {"file": kind}, NOTHING, Journal(tmp_path / "journal.jsonl"))


def test_a_plan_past_its_time_is_refused(kind: FileKind, tmp_path: Path) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=2)
    [found] = refused(plan_of(change(kind, "a", {"size": 2}), made=long_ago), kind, tmp_path)
    assert found.code == "plan-expired"
    refuse_stale(plan_of(change(kind, "a", {"size": 2}), made=long_ago, valid_for=timedelta(days=3)), "p",
                 {"file": kind}, NOTHING, Journal(tmp_path / "journal.jsonl"))
