"""Supervised programs, ports and the home: what is started, what is left alone, what is found again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from engine.model.diagnostic import Refused
from engine.providers.local import strays
from engine.providers.local.processes import Program

from .environment import GROUP, TAGS, Local, open_local, wait_for

SLEEP = [sys.executable, "-c", "import os, time; print(sorted(os.environ), flush=True); time.sleep(600)"]


def program(local: Local, name: str = "sleep", **changes: object) -> Program:
    return Program(**{"name": name, "command": SLEEP, "directory": local.home.path, "environment": {"A": "50%;#'\""},
                      **changes})  # type: ignore[arg-type]


def pid(local: Local, name: str = "sleep") -> int:
    status = local.processes.status(name)
    assert status is not None and status.pid is not None
    return status.pid


def test_a_changed_program_is_restarted_and_an_unchanged_one_is_not(local: Local) -> None:
    local.make_group()
    assert local.processes.ensure(program(local))
    first = pid(local)
    assert not local.processes.ensure(program(local))
    assert pid(local) == first
    assert local.processes.ensure(program(local, environment={"A": "other"}))
    second = pid(local)
    assert second != first and not psutil.pid_exists(first)
    assert psutil.Process(second).environ()["A"] == "other"
    local.processes.remove("sleep")
    local.processes.remove("sleep")
    assert local.processes.status("sleep") is None and not psutil.pid_exists(second)


def test_a_change_that_was_cut_short_is_seen_by_the_next(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    local.make_group()
    local.processes.ensure(program(local))
    first = pid(local)
    changed = program(local, environment={"A": "other"})
    # The files are written, then txplan dies before it tells the supervisor.
    call = local.processes.supervisor.call

    def dies(method: str, *arguments: object, timeout_s: float = 10) -> object:
        if method == "reloadConfig":
            raise KeyboardInterrupt
        return call(method, *arguments, timeout_s=timeout_s)

    monkeypatch.setattr(local.processes.supervisor, "call", dies)
    with pytest.raises(KeyboardInterrupt):
        local.processes.ensure(changed)
    monkeypatch.undo()
    assert pid(local) == first
    assert local.processes.ensure(changed)
    assert pid(local) != first


def test_secrets_are_in_the_environment_alone(local: Local) -> None:
    local.make_group()
    local.processes.ensure(program(local, secrets={"TOKEN": "the-very-secret-text"}))
    live = psutil.Process(pid(local))
    assert live.environ()["TOKEN"] == "the-very-secret-text"
    assert not any(name.startswith("SUPERVISOR_") for name in live.environ())
    for process in strays.find(local.home.instance):
        assert "the-very-secret-text" not in " ".join(process.cmdline())
    holding = {file.name for file in local.state.rglob("*") if file.is_file()
               and b"the-very-secret-text" in file.read_bytes()}
    assert holding == {"sleep.json"}
    assert (local.home.path / "programs" / "sleep.json").stat().st_mode & 0o077 == 0
    assert "the-very-secret-text" not in repr(program(local, secrets={"TOKEN": "the-very-secret-text"}))


def test_a_killed_program_comes_back(local: Local) -> None:
    local.make_group()
    local.processes.ensure(program(local))
    first = pid(local)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: any(s.running and s.pid != first for s in local.processes.statuses()))


def test_a_program_that_does_not_stay_up_is_told_with_its_last_words(local: Local) -> None:
    local.make_group()
    with pytest.raises(Refused) as refused:
        local.processes.ensure(program(local, "bad", command=["/bin/sh", "-c", "echo no such luck; exit 3"]))
    assert refused.value.diagnostics[0].code == "program-down"
    assert "no such luck" in refused.value.diagnostics[0].detail


def test_many_at_once(local: Local) -> None:
    local.make_group()
    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(lambda n: local.processes.ensure(program(local, f"sleep-{n}")), range(6)))
    assert [s.name for s in local.processes.statuses() if s.running] == [f"sleep-{n}" for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: local.processes.remove(f"sleep-{n}"), range(6)))
    assert local.processes.statuses() == []


def test_threads_start_one_supervisor(local: Local) -> None:
    local.home.create(GROUP, TAGS)
    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(lambda _: local.processes.start(), range(6))) == 1
    assert len(strays.find(local.home.instance)) == 1


def test_a_dead_supervisor_is_seen_and_its_orphans_are_taken_over(local: Local) -> None:
    local.make_group()
    local.processes.ensure(program(local))
    orphan = psutil.Process(pid(local))
    os.kill(local.processes.supervisor.call("getPID"), signal.SIGKILL)
    wait_for(lambda: not local.processes.alive())
    assert local.observe("group", GROUP)["needs"] == ["supervisor"]
    assert orphan.is_running()
    local.make_group()
    assert "needs" not in local.observe("group", GROUP)
    wait_for(lambda: any(s.running for s in local.processes.statuses()))
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
    assert len(strays.find(local.home.instance)) == 2


def test_a_slow_supervisor_is_not_taken_for_dead(local: Local) -> None:
    local.make_group()
    local.processes.ensure(program(local))
    first = pid(local)
    supervisor = psutil.Process(local.processes.supervisor.call("getPID"))
    supervisor.suspend()
    # Longer than one question waits for its answer.
    waking = threading.Timer(4, supervisor.resume)
    waking.start()
    try:
        assert not local.processes.start()
    finally:
        waking.cancel()
        supervisor.resume()
    assert pid(local) == first


def test_destroy_finds_the_orphans_of_a_dead_supervisor(local: Local) -> None:
    local.make_group()
    local.processes.ensure(program(local))
    os.kill(local.processes.supervisor.call("getPID"), signal.SIGKILL)
    instance = local.home.instance
    local.destroy()
    assert strays.find(instance) == []
    local.destroy()


def test_destroy_spares_a_stranger_under_an_old_pid(local: Local) -> None:
    local.make_group()
    stranger = subprocess.Popen(SLEEP, env={"TXPLAN_INSTANCE": "another"}, stdout=subprocess.DEVNULL)
    try:
        (local.home.path / "supervisor" / "supervisord.pid").write_text(f"{stranger.pid}\n")
        local.destroy()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_ports_are_kept_until_a_stranger_has_one(local: Local, tmp_path: Path) -> None:
    local.make_group()
    port = local.home.port("a")
    assert local.home.free_port("a") == (port, None)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda n: local.home.port(f"key-{n % 4}"), range(64))) | {port}) == 5
    with socket.create_server(("127.0.0.1", port)):
        other, former = local.home.free_port("a")
    assert former == port and other != port
    assert local.home.port("a") == other


def test_another_group_does_not_take_over_a_home(local: Local) -> None:
    local.make_group()
    with pytest.raises(Refused) as refused:
        local.apply("group", name="other", tags=TAGS)
    assert refused.value.diagnostics[0].code == "foreign-home"
    with pytest.raises(Refused) as refused:
        local.target.resources["group"].delete("other", local.context)
    assert refused.value.diagnostics[0].code == "foreign-home"


def test_opening_and_observing_touch_nothing(tmp_path: Path) -> None:
    local = open_local(tmp_path / "state")
    for type_ in local.target.resources.values():
        assert type_.observe("x") is None and list(type_.inventory()) == []
    assert local.target.apps is not None and local.target.apps.names() == []
    assert local.target.lock.holder() is None
    assert not local.state.exists()


def test_a_path_with_odd_characters_is_no_trouble(tmp_path: Path) -> None:
    local = open_local(tmp_path / "odd %d name's; #1")
    try:
        local.make_group()
        local.processes.ensure(program(local))
        assert "TXPLAN_INSTANCE" in wait_for(local.processes.log("sleep").read_text)
    finally:
        local.destroy()
    assert not local.state.exists()
