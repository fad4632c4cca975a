"""`kill -9` of txplan during each step, and of everything at once: the next apply ends in the same environment."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping

import psutil
import pytest

from tests.e2e.stage import Stage, staged, wait_for

# Steps that take a while are also killed in the middle; the delays cut them at different places.
_LATER_S = {"resource.group": (0.05,), "resource.namespace": (0.2, 0.6), "resource.postgres": (0.3, 1.0),
            "resource.database": (0.05,), "migrate.schema": (0.3, 0.6), "cutover.stream": (0.1,),
            "backfill.source": (0.5, 0.9), "app.api": (0.3,), "app.consumer": (0.3, 1.0), "smoke.service": (0.8,),
            "smoke.load": (1.5,)}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The same environment as `up`, brought there against all odds by the first test."""
    with staged(tmp_path_factory.mktemp("broken")) as stage:
        yield stage


def kill_at_next_step(stage: Stage, command: tuple[str, ...], delays: dict[str, list[float]],
                      later: Mapping[str, tuple[float, ...]]) -> str:
    """Run the command one step at a time; kill it when a step starts that is still to be cut: at once, or on later
    runs after its delays. The step, or "" where none was left to be cut and the command has succeeded."""
    process = stage.start(*command, "--json", "--parallelism", "1")
    assert process.stdout is not None
    cut = ""
    for line in process.stdout:
        event = json.loads(line)
        address = event.get("address", "")
        if event.get("event") == "StepStarted" and delays.setdefault(address, [0.0, *later.get(address, ())]):
            cut = address
            time.sleep(delays[address].pop(0))
            process.kill()
            break
    out, err = process.communicate(timeout=120)
    stage.look()
    assert cut or process.returncode == 0, (out, err)
    return cut


def no_job_lives(stage: Stage) -> bool:
    return not [p for p in stage.processes() if "TXPLAN_JOB" in _environment(p)]


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


@pytest.mark.timeout(900)  # about forty runs of the command
def test_an_apply_killed_during_each_step_goes_on(broken: Stage, up: Stage) -> None:
    steps = set(broken.plan().actions)
    delays: dict[str, list[float]] = {}
    kills: list[str] = []
    while True:
        cut = kill_at_next_step(broken, ("apply", str(broken.manifest), "--auto-approve"), delays, _LATER_S)
        if not cut:
            break
        kills.append(cut)
        wait_for(lambda: no_job_lives(broken))
    # A secret takes milliseconds: the run that was cut at the step before it may have made it before the kill arrived.
    slipped = steps - set(kills)
    assert len(slipped) <= 2 and all(address.startswith("secret.") for address in slipped), slipped
    again = broken.plan()
    assert (again.code, again.actions) == (0, {})
    assert broken.digest() == up.digest()


def test_everything_dies_at_once_and_comes_back(broken: Stage, up: Stage) -> None:
    token, before = broken.secrets()["api-token"], broken.digest()
    broken.kill_all()
    assert broken.processes() == []
    seen = broken.plan()
    assert seen.code == 2
    assert {a for a in seen.actions if seen.change(a)["action"] in ("create", "replace", "delete")} == set()
    assert {"resource.group", "resource.postgres", "resource.namespace"} <= set(seen.actions)
    back = broken.apply()
    assert back.code == 0, back.failures
    assert broken.digest() == before == up.digest()
    assert broken.secrets()["api-token"] == token
    assert broken.ask("/admin/tx/nobody-knows-this", token)[0] == 404
    again = broken.plan()
    assert (again.code, again.actions) == (0, {})


def test_a_destroy_killed_during_each_step_goes_on(broken: Stage) -> None:
    delays: dict[str, list[float]] = {}
    kills: list[str] = []
    while True:
        cut = kill_at_next_step(broken, ("destroy", str(broken.manifest), "--confirm", broken.name), delays,
                                dict.fromkeys(("app.consumer", "resource.postgres", "resource.group"), (0.1,)))
        if not cut:
            break
        kills.append(cut)
    assert {"app.api", "app.consumer", "resource.namespace", "resource.postgres", "resource.group"} <= set(kills)
    broken.assert_gone()
