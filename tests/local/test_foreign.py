"""Strangers in an environment's folders are found, and its own processes are never taken for one."""

from __future__ import annotations

import subprocess
import threading

from engine.providers.local.foreign import in_group

from .environment import Local


def found_in(local: Local) -> list[str]:
    group = local.home.group()
    assert group is not None
    return [f.what for f in in_group(local.home, local.processes, group)]


def test_a_server_that_forks_while_it_is_observed_is_no_stranger(database: Local) -> None:
    done = threading.Event()

    def connect() -> None:
        while not done.is_set():
            database.query("postgres", "SELECT 1")

    threads = [threading.Thread(target=connect) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert [found_in(database) for _ in range(15)] == [[]] * 15
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_a_stranger_is_found(database: Local) -> None:
    stranger = subprocess.Popen(["sleep", "600"], cwd=database.home.path)
    kept = database.home.path / "notes.txt"
    kept.write_text("somebody's")
    try:
        assert found_in(database) == [f"file {kept}", f"process {stranger.pid} (sleep)"]
    finally:
        kept.unlink()
        stranger.kill()
        stranger.wait()
