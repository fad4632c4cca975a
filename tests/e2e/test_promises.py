"""What the command promises: exit codes, refusals, one apply at a time, clean stops, lines that machines can read."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stage import Stage, staged, wait_for

ROWS = 300_000
MANY = {"source": {"synthetic": {"payments": ROWS // 3}}, "chunk_rows": 5_000}


def events_until(process: subprocess.Popen[str], name: str, address: str) -> dict[str, Any]:
    """Read the command's events up to the first `name` of `address`; that one."""
    assert process.stdout is not None
    for line in process.stdout:
        event: dict[str, Any] = json.loads(line)
        if (event.get("event"), event.get("address")) == (name, address):
            return event
    raise AssertionError(f"{address} never came to {name}")


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An environment with a long backfill, not applied yet."""
    with staged(tmp_path_factory.mktemp("slow"), backfill=MANY) as stage:
        yield stage


def test_ctrl_c_stops_cleanly_and_the_next_apply_goes_on(slow: Stage) -> None:
    running = slow.start("apply", str(slow.manifest), "--auto-approve", "--json")
    events_until(running, "StepProgress", "backfill.source")
    wait_for(lambda: slow.query("SELECT coalesce(sum(rows_applied), 0) > 0 FROM bo.backfill_runs")[0][0])
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, (out, err)
    journal = (slow.state / "journal" / f"{slow.name}.jsonl").read_text().splitlines()
    for last in (out.splitlines()[-1], journal[-1]):
        assert (json.loads(last)["event"], json.loads(last)["finish"]) == ("ApplyFinished", "interrupted")
    assert not slow.processes(TXPLAN_JOB="backfill.source")
    [(state, done)] = slow.query("SELECT state, rows_read FROM bo.backfill_runs")
    assert state == "running" and 0 < done < ROWS
    seen = slow.plan()
    assert seen.actions["backfill.source"] == "run" and "resource.postgres" not in seen.actions

    again = slow.start("apply", str(slow.manifest), "--auto-approve", "--json")
    assert events_until(again, "StepProgress", "backfill.source")["done"] >= done
    second = slow.apply()
    assert (second.code, second.codes) == (6, {"locked"})
    assert str(again.pid) in json.dumps(second.event("Diagnostic"))
    assert slow.status()["lock"]["pid"] == again.pid
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, (out, err)
    assert slow.query("SELECT state, rows_read FROM bo.backfill_runs") == [("done", ROWS)]
    assert slow.query("SELECT count(*) FROM bo.ledger_entries WHERE src = 'backfill'") == [(ROWS // 3 * 2,)]


def test_without_a_terminal_nothing_is_asked(up: Stage) -> None:
    up.write(hubs={"order": {"retention": "5d"}})
    refused = up.run("apply", str(up.manifest), "--json")
    assert (refused.code, refused.codes) == (1, {"no-terminal"})
    assert "--auto-approve" in refused.event("Diagnostic")[0]["mend"]


def test_a_stale_plan_touches_nothing(up: Stage) -> None:
    reviewed, other = up.folder / "reviewed.json", up.folder / "other.json"
    assert up.plan("--out", str(reviewed)).actions["resource.hub-order"] == "update"
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
    up.write(load={"requests_per_s": 0})
    failed = up.apply()
    assert failed.code == 4, failed.failures
    found = {e["address"]: e["diagnostic"]["code"] for e in failed.event("StepFailed")}
    assert found == {"gate.api": "gate-no-data", "gate.errors": "gate-no-data"}
    assert up.query("SELECT outcome FROM bo.proofs WHERE step = 'gate.api' ORDER BY id DESC LIMIT 1") == [("no-data",)]
    up.write(load={"requests_per_s": 20})
    mended = up.apply()
    assert mended.code == 0, mended.failures


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


def on_a_terminal(stage: Stage, *arguments: str, answer: bytes = b"", **environment: str) -> tuple[int, str]:
    """(exit code, all that was shown) of the command on a terminal where `answer` is typed."""
    ours, theirs = os.openpty()
    process = subprocess.Popen([stage.command, *arguments], cwd=stage.folder, stdin=theirs, stdout=theirs,
                               stderr=theirs, env={**stage.environment, "TERM": "xterm", **environment})
    os.close(theirs)
    os.write(ours, answer)
    shown = b""
    with contextlib.suppress(OSError):  # The far end closes when the command has ended.
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    return process.wait(60), shown.decode(errors="replace")


def test_a_terminal_is_asked_and_shown_colour(up: Stage) -> None:
    plain = on_a_terminal(up, "plan", str(up.manifest), NO_COLOR="1")
    assert plain[0] == 0 and "\x1b" not in plain[1]
    assert "\x1b[" in on_a_terminal(up, "plan", str(up.manifest))[1]
    code, shown = on_a_terminal(up, "destroy", str(up.manifest), answer=b"dev-somebody\n")
    assert code == 1 and up.name in shown
    assert up.plan().code == 0


def test_the_first_words_are_few(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "empty", {}, tmp_path / "state")
    refused = stage.run("apply", "--json")
    assert (refused.code, refused.codes) == (1, {"no-plan"})
    refused = stage.run("status", "dev-nobody")
    assert refused.code == 1
    assert stage.run("destroy", str(stage.manifest), "--confirm", stage.name, "--json").code == 0
    assert not stage.home.exists()
