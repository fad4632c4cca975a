"""What the command promises: exit codes, refusals, one apply at a time, clean stops, lines that machines can read."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stage import Stage, staged, wait_for

MANY = {"source": {"synthetic": {"payments": 60_000}}, "chunk_rows": 2_000}
FEW = {"source": {"synthetic": {"payments": 300}}}


def events_until(process: subprocess.Popen[str], name: str, address: str) -> None:
    """Read the command's events up to the first `name` of `address`."""
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if (event.get("event"), event.get("address")) == (name, address):
            return
    raise AssertionError(f"{address} never came to {name}")


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An environment with a long backfill."""
    with staged(tmp_path_factory.mktemp("stopped"), backfill=MANY, load=FEW) as stage:
        yield stage


def test_one_apply_at_a_time_and_a_clean_stop(interrupted: Stage) -> None:
    stage = interrupted
    running = stage.start("apply", str(stage.manifest), "--auto-approve", "--json")
    events_until(running, "StepProgress", "backfill.source")
    second = stage.apply()
    assert (second.code, second.codes) == (6, {"locked"})
    assert str(running.pid) in json.dumps(second.event("Diagnostic"))
    assert stage.status()["lock"]["pid"] == running.pid
    wait_for(lambda: stage.query("SELECT coalesce(sum(rows_applied), 0) > 10000 FROM bo.backfill_runs")[0][0])
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, (out, err)
    finish = json.loads(out.splitlines()[-1])
    assert (finish["event"], finish["finish"]) == ("ApplyFinished", "interrupted")
    journal = (stage.state / "journal" / f"{stage.name}.jsonl").read_text().splitlines()
    assert json.loads(journal[-1])["finish"] == "interrupted"
    assert not stage.processes(TXPLAN_JOB="backfill.source")
    done = stage.query("SELECT rows_applied FROM bo.backfill_runs")[0][0]
    again = stage.apply()
    assert again.code == 0, again.failures
    assert stage.query("SELECT state, rows_read FROM bo.backfill_runs") == [("done", 180_000)]
    [backfill] = [e for e in again.event("StepSucceeded") if e["address"] == "backfill.source"]
    assert 0 < done < 180_000 and backfill["result"]["rows_read"] <= 180_000
    assert stage.query("SELECT count(*) FROM bo.payment_orders WHERE src = 'backfill'") == [(60_000,)]


def test_without_a_terminal_nothing_is_asked(up: Stage) -> None:
    up.write(hubs={"order": {"retention": "5d"}})
    refused = up.run("apply", str(up.manifest), "--json")
    assert (refused.code, refused.codes) == (1, {"no-terminal"})
    assert "--auto-approve" in refused.event("Diagnostic")[0]["mend"]


def test_a_stale_plan_touches_nothing(up: Stage) -> None:
    reviewed, other = up.folder / "reviewed.json", up.folder / "other.json"
    assert up.plan("--out", str(reviewed)).actions == {"resource.hub-order": "update"}
    assert stat.S_IMODE(reviewed.stat().st_mode) == 0o600
    assert up.run("show", str(reviewed), "--detailed-exitcode").code == 2
    assert up.run("show", str(reviewed)).code == 0
    up.write(hubs={"order": {"retention": "6d"}})
    assert up.plan("--out", str(other)).code == 2
    assert up.run("apply", str(other), "--json").code == 0
    before = up.plan().plan["live_digest"]
    stale = up.run("apply", str(reviewed), "--json")
    assert (stale.code, stale.codes, stale.event("StepStarted")) == (5, {"stale-plan"}, [])
    twice = up.run("apply", str(other), "--json")
    assert (twice.code, twice.codes) == (5, {"plan-applied"})
    after = up.plan()
    assert (after.code, after.plan["live_digest"]) == (0, before)


def test_the_plan_last_reviewed_is_applied(up: Stage) -> None:
    up.write(hubs={"order": {"retention": "3d"}})
    assert up.plan().code == 2
    done = up.run("apply", "--json")
    assert done.code == 0, done.failures
    assert up.plan().code == 0


def test_a_guardrail_refuses(up: Stage) -> None:
    up.write(cutover={"at": "2020-01-01T00:00:00Z"})
    try:
        seen = up.plan()
        assert seen.code == 3
        assert [v["rule"] for v in seen.plan["verdicts"] if v["outcome"] == "block"] == ["P6.5"]
        refused = up.apply()
        assert (refused.code, refused.event("StepStarted")) == (3, [])
    finally:
        up.write(cutover={"at": "auto"})
    assert up.plan().code == 0


def test_a_gate_that_does_not_hold_fails_and_says_by_how_much(up: Stage) -> None:
    up.write(slo={"api_p95": "1ms"}, load={"requests_per_s": 50})
    failed = up.apply()
    assert failed.code == 4, failed.failures
    [gate] = failed.event("StepFailed")
    assert (gate["address"], gate["diagnostic"]["code"]) == ("gate.api", "gate-fail")
    detail = up.query("SELECT detail FROM bo.proofs WHERE step = 'gate.api' ORDER BY id DESC LIMIT 1")[0][0]
    assert (detail["outcome"], detail["limit"]) == ("fail", 1.0) and detail["value"] > 1.0
    assert detail["says"] in gate["diagnostic"]["summary"]
    assert up.plan().actions.get("gate.api") == "run"
    up.write(slo={"api_p95": "10s"})
    passed = up.apply()
    assert passed.code == 0, passed.failures


def test_no_data_never_passes(up: Stage) -> None:
    up.write(slo={"freshness_p95": "59s"})
    [consumer] = [p for p in up.processes(TXPLAN_PROGRAM="consumer-0") if "streamapp" in " ".join(p.cmdline())]
    applying = up.start("apply", str(up.manifest), "--auto-approve", "--json")
    try:
        events_until(applying, "StepStarted", "smoke.load")
        consumer.suspend()  # It lives, and does not answer the scrapes.
        wait_for(lambda: applying.poll() is not None or _load_is_over(up), 100)
    finally:
        consumer.resume()
    out, _ = applying.communicate(timeout=100)
    assert applying.returncode in (1, 4), out
    assert up.query("SELECT outcome FROM bo.proofs WHERE step = 'gate.freshness' ORDER BY id DESC LIMIT 1") != [
        ("pass",)]
    up.write(slo={"freshness_p95": "60s"})
    assert up.apply().code == 0


def _load_is_over(stage: Stage) -> bool:
    return not stage.processes(TXPLAN_JOB="smoke.load-lookups")


def test_a_plan_that_is_none_is_refused(up: Stage) -> None:
    garbage: list[bytes] = [b"", b"\x00\xff", b"[]", b"{}", b'{"format_version": 99}', b'{"format_version": 1}',
                            b"[" * 100_000]
    for number, content in enumerate(garbage):
        path = up.folder / f"garbage-{number}.json"
        path.write_bytes(content)
        for command in ("show", "apply"):
            refused = up.run(command, str(path), "--json")
            assert refused.code == 1 and refused.codes <= {"plan-unreadable", "plan-version", "plan-invalid"}, content
            assert refused.codes
    missing = up.run("apply", str(up.folder / "nowhere.json"), "--json")
    assert (missing.code, missing.codes) == (1, {"no-plan"})


@pytest.mark.parametrize("command", [["plan", "MANIFEST"], ["validate", "MANIFEST"], ["graph", "MANIFEST"],
                                     ["status", "NAME"], ["guardrails"], ["show", "PLAN"],
                                     ["logs", "NAME", "api"]])
def test_no_escape_reaches_a_pipe(up: Stage, command: list[str]) -> None:
    places = {"MANIFEST": str(up.manifest), "NAME": up.name, "PLAN": str(up.state / "plans" / f"{up.name}.json")}
    result = up.run(*[places.get(word, word) for word in command])
    assert result.code == 0, result.err
    assert "\x1b" not in result.out + result.err and result.out


def test_the_first_words_are_few(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "empty", {}, tmp_path / "state")
    refused = stage.run("apply", "--json")
    assert (refused.code, refused.codes) == (1, {"no-plan"})
    refused = stage.run("status", "dev-nobody")
    assert refused.code == 1
    assert stage.run("destroy", str(stage.manifest), "--confirm", stage.name, "--json").code == 0
    assert not stage.home.exists()
