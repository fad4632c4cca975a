"""Smoke and load as jobs against the running service."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import msgspec
import pytest

from tests.streamapp_live.stage import TOKEN, Stage, entries
from tests.streamapp_live.worker import Process, until

pytestmark = pytest.mark.parametrize("broker", ["noida"], indirect=True)
TRACES = (
    "SELECT (SELECT count(*) FROM bo.ledger_entries) + (SELECT count(*) FROM bo.payment_orders) "
    "+ (SELECT count(*) FROM bo.consumer_dlq_events)"
)


def run(stage: Stage, job: str, role: str, **env: str) -> tuple[int, list[dict[str, object]]]:
    done = subprocess.run(
        [sys.executable, "-m", "streamapp", job],
        env={"PATH": os.environ["PATH"], **stage.environment(role), "API_TOKEN": TOKEN, **env},
        stdout=subprocess.PIPE,
        timeout=150,
        check=False,
    )
    return done.returncode, [msgspec.json.decode(line) for line in done.stdout.splitlines()]


def address(api: Process) -> str:
    return f"http://127.0.0.1:{api.port}"


def record_cutover(stage: Stage) -> None:
    stage.rows(
        "INSERT INTO bo.cutovers (generation, state, t_cutover, skew, consumer_group, start_offsets, source, instance) "
        "VALUES (1, 'syncing', now(), '5 min', %s, '{}', '{}', 'test') RETURNING id",
        stage.group,
    )


def test_smoke_passes_and_leaves_no_trace(stage: Stage) -> None:
    record_cutover(stage)
    stage.consumer()
    api = stage.api()
    code, lines = run(stage, "smoke", "bo_migrator", SMOKE_SPEC=json.dumps({"api": address(api)}))
    checks = {line["name"]: line["ok"] for line in lines if line["event"] == "check"}
    assert code == 0 and len(checks) == 5 and all(checks.values())
    assert lines[-1]["event"] == "result"
    assert stage.one(TRACES) == 0
    assert stage.books()["consumed"] == 5


def test_smoke_fails_without_a_consumer(stage: Stage) -> None:
    record_cutover(stage)
    stage.consumer().terminate()
    spec = {"api": address(stage.api()), "patience_s": 2.0}
    code, lines = run(stage, "smoke", "bo_migrator", SMOKE_SPEC=json.dumps(spec))
    assert code == 1
    assert lines[-1]["event"] == "error" and lines[-1]["code"] == "smoke-failed"


def test_load_reports_what_the_client_saw(stage: Stage) -> None:
    stage.broker.produce(stage.ledger, entries(0, 200))
    stage.consumer()
    until(lambda: stage.count() == 200)
    spec = {"api": address(stage.api()), "requests_per_s": 50, "duration_s": 2.0}
    code, lines = run(stage, "load", "bo_api", LOAD_SPEC=json.dumps(spec))
    assert code == 0
    result = lines[-1]
    assert result["event"] == "result" and result["requests"] == 100
    assert result["statuses"] == {"200": 95, "404": 5}
