"""Secrets are rotated under continuous look-ups: nobody with a valid one is turned away, and a kill is mended."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e.lookups import Lookups, once
from tests.e2e.stage import Stage, staged

ID = "tx-known"
PATH = f"/admin/tx/{ID}"
LOGINS = {"postgres-api": "bo_api", "postgres-consumer": "bo_consumer", "postgres-migrator": "bo_migrator",
          "postgres-admin": "postgres"}  # fmt: skip


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An environment of two API replicas and one consumer; smoke and gates play no part here."""
    folder = tmp_path_factory.mktemp("rotation")
    with staged(folder, owner="rot", api={"replicas": 2}, backfill={"source": "none"}) as stage:
        planned = stage.run("plan", str(stage.manifest), "--only", "app.*", "--json")
        assert planned.code == 0, planned.failures
        applied = stage.run("apply", "--json")
        assert applied.code == 0, applied.failures
        with stage.database() as connection:
            connection.execute(
                "INSERT INTO bo.ledger_entries (tx_id, wallet_id, entry_type, amount, event_time, src) "
                "VALUES (%s, 'w', 'PAYMENT', 1, now(), 'stream')", (ID,))  # fmt: skip
        yield stage


def rotate(stage: Stage, name: str, *more: str) -> Any:
    return stage.run("secret", "rotate", str(stage.manifest), name, "--auto-approve", "--json", *more)


def current(stage: Stage) -> str:
    """The credential that the vault gives out now."""
    token: str = stage._target().secrets.get("api-token")
    return token


def begun(result: Any, stage: str) -> float:
    """When a stage of a rotation began."""
    [event, *_] = [e for e in result.event("StepStarted") if e["address"].endswith(f"-{stage}")]
    return datetime.fromisoformat(event["at"]).timestamp()


def assert_settled(stage: Stage) -> None:
    """One value a secret, and nothing left to be done to apps or server."""
    assert not any("--" in name for name in stage.secrets())
    plan = stage.plan("--only", "app.*")
    assert plan.code == 0, plan.actions


def login(stage: Stage, role: str, password: str) -> bool:
    """Whether the server lets the role in by the password."""
    target = stage._target().database.client_environment("bo_migrator")
    try:
        psycopg.connect(host=target["PGHOST"], port=target["PGPORT"], dbname="postgres" if role == "postgres" else
                        target["PGDATABASE"], user=role, password=password, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_credential_is_rotated_and_nobody_is_turned_away(stage: Stage) -> None:
    old, endpoints = stage.secrets()["api-token"], stage.endpoints("api")
    with (Lookups(endpoints, PATH, lambda: old) as stale,
          Lookups(endpoints, PATH, lambda: current(stage)) as fresh):
        result = rotate(stage, "api-token", "--overlap", "1s")
        assert result.code == 0, result
    new = stage.secrets()["api-token"]
    assert new != old and len(fresh.seen) > 50 and len(stale.seen) > 50
    assert fresh.failed() == []
    assert stale.failed(before=begun(result, "retire")) == []
    assert [once(base, PATH, old) for base in endpoints] == [401, 401]
    assert [once(base, PATH, new) for base in endpoints] == [200, 200]
    assert_settled(stage)
    assert old not in result.out and new not in result.out


@pytest.mark.parametrize("name", LOGINS)
def test_a_login_is_rotated_and_no_look_up_fails(stage: Stage, name: str) -> None:
    role, old = LOGINS[name], stage.secrets()[name]
    token, endpoints = stage.secrets()["api-token"], stage.endpoints("api")
    server = [p.pid for p in stage.processes() if p.cmdline()[:1] and p.cmdline()[0].endswith("/postgres")]
    with Lookups(endpoints, PATH, lambda: token) as asked:
        result = rotate(stage, name)
        assert result.code == 0, result
    assert asked.failed() == [] and len(asked.seen) > 10
    new = stage.secrets()[name]
    assert new != old and login(stage, role, new) and not login(stage, role, old)
    assert server == [p.pid for p in stage.processes() if p.cmdline()[:1] and p.cmdline()[0].endswith("/postgres")]
    assert_settled(stage)


@pytest.mark.parametrize("name", ["api-token", "postgres-api"])
def test_a_rotation_that_is_killed_in_any_stage_goes_on(stage: Stage, name: str) -> None:
    """One rotation, killed as each of its stages begins; the next run takes it up."""
    before, endpoints = stage.secrets()[name], stage.endpoints("api")
    with Lookups(endpoints, PATH, lambda: current(stage), clients=1) as asked:
        for at in ("stage", "restart", "switch", "server" if name != "api-token" else "wait", "retire", "restart"):
            process = stage.start("secret", "rotate", str(stage.manifest), name, "--auto-approve", "--json",
                                  "--overlap", "1s")  # fmt: skip
            assert process.stdout is not None
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "StepStarted" and event["address"].endswith(f"-{at}"):
                    break
            process.kill()
            process.communicate()
        result = rotate(stage, name, "--overlap", "1s")
        assert result.code == 0, result
    assert asked.failed() == []
    if stage.secrets()[name] == before:  # The first kill came before anything was kept.
        pytest.fail("nothing was rotated")
    assert_settled(stage)


def test_what_cannot_be_rotated_is_refused(stage: Stage) -> None:
    assert rotate(stage, "broker-password").codes == {"not-rotatable"}
    unasked = stage.run("secret", "rotate", stage.name, "api-token", "--json")
    assert unasked.code == 1 and unasked.codes == {"no-terminal"}
    assert len(unasked.event("Rotation")[0]["stages"]) == 6
    stage.write(api={"replicas": 1})
    assert rotate(stage, "api-token").codes == {"app-pending"}
    stage.write(api={"replicas": 2})
    assert_settled(stage)


def test_the_audit_is_read_by_who_and_when_and_what(stage: Stage) -> None:
    token = stage.secrets()["api-token"]
    base = stage.endpoints("api")[0]
    assert once(base, "/admin/tx/asked-%0a-once", token) == 400
    assert once(base, PATH, "wrong") == 401
    wanted = ("audit", stage.name, "--json", "--limit", "0")

    def rows(*filters: str) -> list[dict[str, Any]]:
        return stage.run(*wanted, *filters).events

    while not rows("--target", "asked-", "--since", "5m"):
        pass  # Written behind the answer, at most half a second later.
    [row] = rows("--target", "asked-")
    assert (row["actor"], row["action"], row["target"], row["status"]) == (
        "operator", "GET /admin/tx/{tx_id}", "/admin/tx/asked-\n-once", 400)
    assert {r["actor"] for r in rows("--status", "401", "--actor", "-")} == {"-"}
    assert rows("--target", "asked-", "--until", "1h") == rows("--actor", "nobody") == []
    text = stage.run("audit", stage.name, "--target", "asked-").out
    assert len(text.splitlines()) == 1 and "asked-\\n-once" in text
    assert stage.run("audit", stage.name, "--since", "yesterday", "--json").code == 1


def test_no_secret_is_in_any_log_plan_or_journal(stage: Stage) -> None:
    """After all of the above; where a value has to lie (vault, started programs) is private and no log."""
    values = stage.secrets().values()
    files = [f for f in stage.state.rglob("*") if f.is_file()] + [f for f in runtime_logs(stage) if f.is_file()]
    logs = [f for f in files if re.search(r"logs|plans|journal", str(f))]
    assert len(logs) > 5
    assert [str(f) for f in logs if any(v.encode() in f.read_bytes() for v in values)] == []
    for process in stage.processes():
        assert not any(v in " ".join(process.cmdline()) for v in values)


def runtime_logs(stage: Stage) -> Iterator[Path]:
    return (path for runtime in stage._runtimes for path in runtime.rglob("*.log"))
