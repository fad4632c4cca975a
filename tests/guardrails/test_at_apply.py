"""At apply: every guardrail once more, on what is live then; a refusal touches nothing, and an override is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path / "here", {"owner": "rae"}, tmp_path / "state")
    yield stage
    assert stage.processes() == [] and not stage.home.exists()


def test_a_plan_is_judged_again_before_it_touches_anything(stage: Stage) -> None:
    assert stage.plan("--only", "resource.group", "--out", "build.json").code == 2
    assert stage.run("apply", "build.json", "--json").code == 0
    assert stage.plan("--destroy", "--out", "destroy.json").code == 2

    left = stage.home / "notes.txt"
    left.write_text("somebody's")
    before = sorted(p.pid for p in stage.processes())
    refused = stage.run("apply", "destroy.json", "--confirm", stage.name, "--json")
    assert (refused.code, refused.codes) == (3, {"foreign-inside"})
    assert left.read_text() == "somebody's" and sorted(p.pid for p in stage.processes()) == before
    assert stage.destroy().code == 3

    left.unlink()
    done = stage.run("apply", "destroy.json", "--confirm", stage.name, "--json")
    assert done.code == 0, done.failures


def test_an_override_is_kept_in_the_plan_and_in_the_journal(stage: Stage) -> None:
    asked = ("--override", "blast-radius", "--reason", "a trial")
    assert stage.plan("--only", "resource.group", "--out", "build.json", *asked).plan["overrides"] == [
        {"guardrail": "blast-radius", "reason": "a trial"}]
    assert stage.run("apply", "build.json", "--json").code == 0
    refused = stage.run("apply", "build.json", "--override", "ttl", "--reason", "x", "--json")
    assert (refused.code, refused.codes) == (3, {"override-refused"})
    first, *_ = (stage.state / "journal" / f"{stage.name}.jsonl").read_text().splitlines()
    assert json.loads(first)["overrides"] == [{"guardrail": "blast-radius", "reason": "a trial"}]
    assert stage.destroy().code == 0


def test_a_reviewed_plan_that_destroys_asks_for_the_name(stage: Stage) -> None:
    assert stage.plan("--only", "resource.group", "--out", "build.json").code == 2
    assert stage.run("apply", "build.json", "--json").code == 0
    assert stage.plan("--destroy").code == 2
    refused = stage.run("apply", "--json")
    assert (refused.code, refused.codes) == (1, {"no-terminal"})
    assert stage.run("apply", "--confirm", "dev-somebody", "--json").codes == {"not-confirmed"}
    assert stage.processes() != []
    assert stage.run("apply", "--confirm", stage.name, "--json").code == 0


def test_an_edited_plan_is_refused(stage: Stage) -> None:
    assert stage.plan("--only", "resource.group", "--out", "build.json").code == 2
    path = stage.folder / "build.json"
    path.write_text(path.read_text().replace("team4-txlookup-rg", "team4-txlookup-xx"))
    for command in ("show", "apply"):
        refused = stage.run(command, "build.json", "--json")
        assert (refused.code, refused.codes) == (5, {"plan-edited"})
