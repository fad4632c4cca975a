"""Apps and jobs: deployed, replaced, seen as they are, stopped."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.model.diagnostic import Refused
from engine.providers.base import AppSpec, JobSpec
from engine.providers.local import strays, web

from .environment import Local, wait_for

TINY = [sys.executable, str(Path(__file__).parent / "tiny_app.py")]


def tiny(revision: str, replicas: int = 1, **changes: Any) -> AppSpec:
    app = AppSpec("api", revision, TINY, {"APP_REVISION": revision}, {"TOKEN": "only for the app"}, replicas, 5)
    return dataclasses.replace(app, **changes)


def test_an_app_is_deployed_replaced_and_removed(local: Local) -> None:
    local.make_group()
    apps = local.target.apps
    assert apps is not None
    assert apps.describe("api") is None and apps.ready("api") is not None
    state = apps.deploy(tiny("r1", replicas=2), local.context)
    assert (state.revision, state.replicas, state.running, len(set(state.endpoints))) == ("r1", 2, 2, 2)
    wait_for(lambda: apps.ready("api") is None)
    replicas = [json.loads(web.get(int(e.rpartition(":")[2]), "/")[1]) for e in state.endpoints]  # type: ignore[index]
    assert [r["REPLICA"] for r in replicas] == ["0", "1"]
    assert {r["TOKEN"] for r in replicas} == {"only for the app"}
    assert apps.deploy(tiny("r1", replicas=2), local.context) == state
    again = apps.deploy(tiny("r2"), local.context)
    assert (again.revision, again.running, again.endpoints) == ("r2", 1, state.endpoints[:1])
    assert again.environment == {"APP_REVISION": "r2"}
    assert apps.names() == ["api"]
    apps.remove("api", local.context)
    apps.remove("api", local.context)
    assert apps.describe("api") is None and local.processes.statuses() == []


def test_a_dead_replica_does_not_count_and_comes_back(local: Local) -> None:
    local.make_group()
    apps = local.target.apps
    assert apps is not None
    apps.deploy(tiny("r1"), local.context)
    os.kill(local.processes.status("api-0").pid, signal.SIGKILL)  # type: ignore[union-attr,arg-type]
    wait_for(lambda: apps.describe("api").running == 1 and apps.ready("api") is None)  # type: ignore[union-attr]
    os.kill(local.processes.supervisor.call("getPID"), signal.SIGKILL)
    wait_for(lambda: not local.processes.alive())
    assert apps.describe("api").running == 0  # type: ignore[union-attr]
    assert apps.deploy(tiny("r1"), local.context).running == 1


def test_a_deploy_that_was_cut_short_shows_and_is_mended(local: Local) -> None:
    local.make_group()
    apps = local.target.apps
    assert apps is not None
    apps.deploy(tiny("r1"), local.context)
    with pytest.raises(Refused):
        apps.deploy(tiny("r2", command=["/bin/false"]), local.context)
    assert apps.describe("api").revision not in ("r1", "r2")  # type: ignore[union-attr]
    assert apps.deploy(tiny("r2"), local.context).revision == "r2"


def test_a_replica_that_does_not_serve_holds_the_next(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    local.make_group()
    apps = local.target.apps
    assert apps is not None
    state = apps.deploy(tiny("r1", replicas=2), local.context)
    wait_for(lambda: apps.ready("api") is None)
    second = local.processes.status("api-1")
    monkeypatch.setattr("engine.providers.local.apps._SERVES_S", 2.0)
    with pytest.raises(Refused) as refused:
        apps.deploy(tiny("r2", replicas=2, environment={"APP_REVISION": "r2", "READY_STATUS": "503"}), local.context)
    assert refused.value.diagnostics[0].code == "replica-not-ready"
    assert local.processes.status("api-1") == second
    assert web.get(int(state.endpoints[1].rpartition(":")[2]), "/readyz")[0] == 200  # type: ignore[index]
    assert apps.deploy(tiny("r2", replicas=2), local.context).revision == "r2"


def test_readiness_is_what_the_app_says(local: Local) -> None:
    local.make_group()
    apps = local.target.apps
    assert apps is not None
    apps.deploy(tiny("r1", environment={"APP_REVISION": "r1", "READY_STATUS": "503"}), local.context)
    wait_for(lambda: "to answer" not in (apps.ready("api") or "to answer"))
    assert apps.ready("api") is not None


def test_an_app_that_ignores_the_request_to_stop_is_killed(local: Local) -> None:
    local.make_group()
    apps = local.target.apps
    assert apps is not None
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    apps.deploy(tiny("r1", command=[sys.executable, "-c", stubborn], stop_seconds=1), local.context)
    process = psutil.Process(local.processes.status("api-0").pid)  # type: ignore[union-attr]
    apps.remove("api", local.context)
    assert not process.is_running()


def test_logs_and_metrics_come_from_every_replica(local: Local) -> None:
    local.make_group()
    apps, metrics = local.target.apps, local.target.metrics
    assert apps is not None and metrics is not None
    assert metrics.scrape("api") == []
    apps.deploy(tiny("r1", replicas=2), local.context)
    wait_for(lambda: apps.ready("api") is None)
    samples = metrics.scrape("api")
    assert [(s.replica, s.name, s.labels, s.value) for s in samples] == [
        (n, "tiny_requests_total", {"route": "/"}, 3.0) for n in (0, 1)]
    first = [line for line in apps.logs("api", follow=False, lines=100) if "serving" in line]
    assert first == ["api-0 | serving r1", "api-1 | serving r1"]
    assert len(list(apps.logs("api", follow=False, lines=1))) == 2
    following = apps.logs("api", follow=True, lines=0)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(next(following)))
    reader.start()
    local.processes.restart("api-1")
    reader.join()
    assert found[0].startswith("api-")
    apps.remove("api", local.context)
    assert metrics.scrape("api") == []


def run(local: Local, code: str, until: Callable[[list[Any]], bool] = lambda _: False) -> tuple[int, list[Any]]:
    """Run a job of Python code until it ends or its events make `until` true: (exit code, events)."""
    events: list[Any] = []
    jobs = local.target.jobs
    assert jobs is not None
    job = JobSpec("job", [sys.executable, "-c", code], {"PLAIN": "1"}, {"TOKEN": "only for the job"})
    return jobs.run(job, events.append, lambda: until(events)), events


def test_a_job_tells_events_and_its_end(local: Local) -> None:
    local.make_group()
    code, events = run(local, "import json, os, sys; print(json.dumps({'token': os.environ['TOKEN']})); print('[1]');"
                       "print('words'); print('trouble', file=sys.stderr); sys.exit(7)")
    assert (code, events) == (7, [{"token": "only for the job"}])
    log = (local.home.path / "logs" / "jobs" / "job.log").read_text()
    assert set(log.split()) == {"[1]", "words", "trouble"}


def test_a_cancelled_job_ends_by_its_own_rules(local: Local) -> None:
    local.make_group()
    waits = ("import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143));"
             "print('{}', flush=True); time.sleep(600)")
    code, events = run(local, waits, until=bool)
    assert (code, events) == (143, [{}])
    assert run(local, "import time; time.sleep(600)", until=lambda _: True)[0] == -signal.SIGTERM


def test_what_a_job_started_goes_with_it(local: Local) -> None:
    local.make_group()
    code, _ = run(local, "import subprocess, sys; subprocess.Popen(['sleep', '600'])")
    assert code == 0
    assert strays.find(local.home.instance, TXPLAN_JOB="job") == []


def test_a_job_may_run_twice_at_once(local: Local) -> None:
    local.make_group()
    waits = "import time; print('{}', flush=True); time.sleep(600)"
    started, ended = threading.Event(), threading.Event()
    codes: list[int] = []

    def until(events: list[Any]) -> bool:
        if events:
            started.set()
        return ended.is_set()

    first = threading.Thread(target=lambda: codes.append(run(local, waits, until)[0]))
    first.start()
    try:
        assert started.wait(60)
        [process] = strays.find(local.home.instance, TXPLAN_JOB="job")
        assert run(local, "print('{}')") == (0, [{}])
        assert process.is_running() and codes == []
    finally:
        ended.set()
        first.join()
    assert codes == [-signal.SIGTERM]


_RUN = """
import sys
from pathlib import Path
from engine.model.step import Environment
from engine.providers.base import JobSpec
from engine.providers.local import open_target
environment = Environment("dev-kim", "local", "txlookup", "team", "kim", "dev", {}, "tx", "d")
target = open_target(environment, Path(sys.argv[1]))
target.jobs.run(JobSpec("job", ["sh", "-c", sys.argv[2]], {}), print, lambda: False)
"""


def killed_while_it_runs(local: Local, script: str) -> psutil.Process:
    """The `sleep` of a job that is this shell script, after its txplan was killed."""
    txplan = subprocess.Popen([sys.executable, "-c", _RUN, str(local.state), script])
    [sleeps] = wait_for(lambda: [p for p in strays.find(local.home.instance, TXPLAN_JOB="job") if p.name() == "sleep"])
    txplan.kill()
    txplan.wait()
    return sleeps


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_job_dies_with_its_txplan(local: Local) -> None:
    local.make_group()
    job = killed_while_it_runs(local, "exec sleep 600")
    wait_for(lambda: not job.is_running())


def test_what_a_killed_txplan_left_is_ended_by_the_next(local: Local) -> None:
    local.make_group()
    left = killed_while_it_runs(local, "sleep 600 & wait")
    assert left.is_running()
    assert run(local, "print('{}')") == (0, [{}])
    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
