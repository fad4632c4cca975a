"""The lock: one holder at a time, between processes, and free when its holder dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.model.diagnostic import Refused
from engine.providers.local.lock import FileLock

_HOLD = """
import sys, time
from pathlib import Path
from engine.providers.local.lock import FileLock
with FileLock(Path(sys.argv[1]), "dev-kim").acquire("apply") as holder:
    print(holder.pid, flush=True)
    time.sleep(600)
"""


def test_another_process_holds_it_until_it_is_killed(tmp_path: Path) -> None:
    state = tmp_path / "state"
    lock = FileLock(state, "dev-kim")
    child = subprocess.Popen([sys.executable, "-c", _HOLD, str(state)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        assert int(child.stdout.readline()) == child.pid
        with pytest.raises(Refused) as refused, lock.acquire("destroy"):
            pass
        assert refused.value.exit_code == 6
        assert refused.value.diagnostics[0].code == "locked"
        assert str(child.pid) in refused.value.diagnostics[0].summary
        holder = lock.holder()
        assert holder is not None and (holder.pid, holder.purpose) == (child.pid, "apply")
        with FileLock(state, "dev-lee").acquire("apply"):
            pass  # Another environment's lock is another lock.
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
    assert lock.holder() is None
    with lock.acquire("apply") as holder:
        assert lock.holder() == holder
    assert not state.exists()


def test_threads_exclude_each_other_and_leave_no_file(tmp_path: Path) -> None:
    state, inside = tmp_path / "state", []

    def work(number: int) -> bool:
        try:
            with FileLock(state, "dev-kim").acquire(f"apply {number}"):
                inside.append(number)
                assert inside == [number]
                inside.remove(number)
                return True
        except Refused as refused:
            assert refused.exit_code == 6
            return False

    with ThreadPoolExecutor(8) as pool:
        assert any(pool.map(work, range(64)))
    assert not state.exists()


def test_a_half_written_holder_is_no_error(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "state", "dev-kim")
    with lock.acquire("apply"):
        (tmp_path / "state" / "locks" / "dev-kim").write_text(json.dumps({"who": "x"})[:5])
        assert lock.holder() is None


def test_a_lock_that_was_broken_open_is_not_taken_from_the_next_holder(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "state", "dev-kim")
    with lock.acquire("apply") as first:
        standing = lock.standing()
        assert standing is not None and (standing.holder, standing.held, standing.alive) == (first, True, True)
        lock.break_open(first)
        assert lock.standing() is None
        second = FileLock(tmp_path / "state", "dev-kim").acquire("destroy")
        holder = second.__enter__()
    assert lock.holder() == holder, "the first one's end gives back what is its own alone"
    second.__exit__(None, None, None)
    assert not (tmp_path / "state").exists()


def test_a_lock_is_broken_for_the_holder_that_was_shown_and_for_no_later_one(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "state", "dev-kim")
    with lock.acquire("apply") as shown:
        pass
    with lock.acquire("destroy") as later:
        with pytest.raises(Refused) as refused:
            lock.break_open(shown)
        assert (refused.value.exit_code, lock.holder()) == (6, later)


def test_whether_a_holder_elsewhere_lives_is_not_guessed(tmp_path: Path) -> None:
    lock, file = FileLock(tmp_path / "state", "dev-kim"), tmp_path / "state" / "locks" / "dev-kim"
    with lock.acquire("apply"):
        file.write_text(json.dumps({**json.loads(file.read_text()), "host": "another.test"}))
        standing = lock.standing()
        assert standing is not None and (standing.held, standing.alive) == (True, None)
