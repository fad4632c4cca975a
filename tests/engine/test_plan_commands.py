"""The commands around a plan, as a user runs them, where nothing is live."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from tests.e2e.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, {}, tmp_path / "state")


def test_a_plan_says_who_made_it_and_until_when(stage: Stage) -> None:
    plan = stage.plan("--valid-for", "90m").plan
    assert plan["made_by"] and plan["made_on"] == os.uname().nodename and plan["tool_version"]
    assert plan["created_at"] < plan["valid_until"]
    assert stage.run("plan", str(stage.manifest), "--valid-for", "soon").code == 1


def test_an_expired_plan_is_refused(stage: Stage) -> None:
    file = stage.folder / "p.json"
    assert stage.plan("--valid-for", "0s", "--out", str(file)).code == 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    result = stage.run("apply", str(file), "--json")
    assert (result.code, result.codes) == (5, {"plan-expired"})
    assert not stage.home.exists()


def test_a_reader_that_has_gone_sees_no_traceback(stage: Stage) -> None:
    running = stage.start("show", "none.json", "--json")
    assert running.stdout is not None and running.stderr is not None
    running.stdout.close()
    assert (running.wait(60), running.stderr.read()) == (1, "")


def test_a_plan_of_another_format_is_refused(stage: Stage) -> None:
    file = stage.folder / "p.json"
    stage.plan("--out", str(file))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format_version": 1}))
    result = stage.run("show", str(file), "--json")
    assert (result.code, result.codes) == (1, {"plan-version"})
