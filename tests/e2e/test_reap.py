"""What has expired is told, planned and, where somebody says its name, destroyed. The clock is moved past the ttl of an
environment that is live: a group with its vault and one secret."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stage import Result, Stage, staged

# The command with another clock: the one place where commands read it is replaced, and nothing else.
_AT = """
import sys
from datetime import datetime
import engine.cli.common as common
at = datetime.fromisoformat(sys.argv.pop(1))
common.now = lambda: at
from engine.cli import main
main()
"""


def at(stage: Stage, day: str, *arguments: str) -> Result:
    """The command as it is on that day, at noon."""
    done = subprocess.run([sys.executable, "-c", _AT, f"{day}T12:00:00+00:00", *arguments], cwd=stage.folder,
                          env=stage.environment, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
                          check=False)
    stage.look()
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Stage]]:
    """Two live environments in one state folder; the first lives until 2099-06-01, the second much longer. The last
    test that has them ends the first one."""
    tmp_path = tmp_path_factory.mktemp("two")
    with staged(tmp_path / "a", state=tmp_path / "state", ttl="2099-06-01") as one, \
            staged(tmp_path / "b", state=tmp_path / "state", owner="zoe") as other:
        for stage in (one, other):
            small = stage.folder / "small.json"
            stage.plan("--only", "secret.api-token", "--out", str(small))
            done = stage.run("apply", str(small), "--json")
            assert done.code == 0, done.failures
        yield one, other


def test_what_is_not_proven_or_was_extended_stays(two: tuple[Stage, Stage]) -> None:
    one, _ = two
    record = one.home / "group.json"
    kept = record.read_text()
    record.write_text(json.dumps({**json.loads(kept), "tags": {**json.loads(kept)["tags"], "owner": "zoe"}}))
    strange = at(one, "2099-06-02", "reap", "--apply", "--confirm", one.name, "--json")
    assert (strange.code, strange.codes) == (3, {"not-ours"})
    record.write_text(kept)

    assert one.run("extend", one.name, "--ttl", "2099-05-01", "--json").codes == {"no-extension"}
    assert one.run("extend", one.name, "--json").codes == {"which-ttl"}
    at(one, "2099-06-02", "extend", one.name, "--days", "10", "--json")
    assert "2099-06-12" in one.manifest.read_text(), "from today, where it has expired"
    extended = at(one, "2099-06-02", "reap", "--apply", "--confirm", one.name, "--json")
    assert (extended.code, extended.codes) == (1, {"extended"})

    moved = one.manifest.rename(one.folder / "elsewhere.yaml")
    lost = at(one, "2099-06-02", "reap", "--json")
    assert (lost.code, lost.codes, lost.event("Expired")[0]["plan"]) == (2, {"manifest-unknown"}, None)
    moved.rename(one.manifest)
    assert one.home.exists()
    one.write()


def test_what_has_expired_is_reaped_by_name_alone(two: tuple[Stage, Stage]) -> None:
    one, other = two
    near = at(one, "2099-05-30", "reap", "--json")
    assert (near.code, near.event("Expired")) == (0, [])
    assert [e["environment"] for e in near.event("Expiring")] == [one.name]
    assert at(one, "2099-05-30", "reap", "--warn-days", "1", "--json").event("Expiring") == []
    assert at(one, "2099-06-01", "reap", "--json").code == 0, "the last day is a day"

    told = at(one, "2099-06-02", "reap", "--json")
    [expired] = told.event("Expired")
    assert (told.code, expired["environment"], expired["days"], expired["can_apply"]) == (2, one.name, -1, True)
    shown = one.run("show", expired["plan"], "--json").plan
    assert shown["destroy"] and {c["action"] for c in shown["changes"]} == {"delete", "no-op"}
    assert one.home.exists(), "a report touches nothing"
    assert "txplan extend" in at(one, "2099-06-02", "reap").out

    unasked = at(one, "2099-06-02", "reap", "--apply", "--json")
    assert (unasked.code, unasked.codes) == (1, {"no-terminal"}) and one.home.exists()
    alive = at(one, "2099-06-02", "reap", "--apply", "--confirm", other.name, "--json")
    assert (alive.code, alive.codes) == (1, {"not-expired"}) and other.home.exists()
    done = at(one, "2099-06-02", "reap", "--apply", "--confirm", one.name, "--json")
    assert done.code == 0, done.failures
    assert not one.home.exists() and other.home.exists()
    assert [e["name"] for e in one.run("list", "--json").event("Environment")] == [other.name]


_HOLD = """
import sys, time
from pathlib import Path
from engine.providers.local.lock import FileLock
with FileLock(Path(sys.argv[1]), sys.argv[2]).acquire("apply") as holder:
    print(holder.pid, flush=True)
    time.sleep(600)
"""


def holding(stage: Stage) -> subprocess.Popen[str]:
    """A process that takes the environment's lock."""
    return subprocess.Popen([sys.executable, "-c", _HOLD, str(stage.state), stage.name], stdout=subprocess.PIPE,
                            text=True)


def test_a_lock_is_shown_and_broken_only_where_that_is_meant(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "a", {}, tmp_path / "state")
    assert stage.run("unlock", str(stage.manifest), "--json").event("Unlocked") == [
        {"event": "Unlocked", "broke": False, "holder": None}]
    child = holding(stage)
    assert child.stdout is not None
    try:
        assert int(child.stdout.readline()) == child.pid
        lives = stage.run("unlock", str(stage.manifest), "--confirm", stage.name, "--json")
        assert (lives.code, lives.codes) == (6, {"holder-lives"})
        assert f"pid {child.pid}" in lives.event("Diagnostic")[0]["summary"]
        asked = stage.run("unlock", str(stage.manifest), "--force", "--json")
        assert (asked.code, asked.codes) == (1, {"no-terminal"})
        wrong = stage.run("unlock", str(stage.manifest), "--force", "--confirm", "dev-zoe", "--json")
        assert (wrong.code, wrong.codes) == (1, {"not-confirmed"})
        broken = stage.run("unlock", str(stage.manifest), "--force", "--confirm", stage.name, "--json")
        assert broken.code == 0 and broken.event("Unlocked")[0]["holder"]["pid"] == child.pid
        assert not (stage.state / "locks").exists() and child.poll() is None
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()


def test_what_a_dead_holder_left_is_cleared_away(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "a", {}, tmp_path / "state")
    child = holding(stage)
    assert child.stdout is not None
    child.stdout.readline()
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert (stage.state / "locks" / stage.name).exists()
    cleared = stage.run("unlock", str(stage.manifest), "--json")
    assert cleared.code == 0 and cleared.event("Unlocked")[0] | {"holder": None} == {
        "event": "Unlocked", "broke": False, "holder": None}
    assert cleared.event("Unlocked")[0]["holder"]["pid"] == child.pid
    assert not (stage.state / "locks").exists()
