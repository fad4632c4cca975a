"""A gate that cannot fail proves nothing: each is shown a real fault, on real servers, and each is shown nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from engine.kinds.gate import GATES, KIND
from engine.model.address import Address
from engine.model.change import Action, Change
from engine.model.diagnostic import Refused
from engine.providers.base import Context
from tests.e2e.stage import Stage, staged

QUIET = Context(lambda _: None, lambda: False)
# Limits that a healthy service of nearly any speed keeps, and one whose progress is locked cannot.
TIGHT = {"api_p95": "3s", "freshness_p95": "2s", "lag_p95": 100, "error_rate": 0.02, "complete_pairs": 1.0}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An environment whose gates have all passed."""
    with staged(tmp_path_factory.mktemp("faulty")) as stage:
        result = stage.apply()
        assert result.code == 0, result.failures
        yield stage


def one(stage: Stage, query: str) -> Any:
    return stage.query(query)[0][0]


def run(stage: Stage, statement: str, *values: Any) -> None:
    with stage.database() as connection:
        connection.execute(statement.encode(), values)
        connection.commit()


def lose_records(stage: Stage) -> None:
    """The group's position is moved past records that nobody has consumed."""
    target = stage._target()
    target.apps.remove("consumer", QUIET)
    assert stage.run("feed", str(stage.manifest), "--synthetic", "5", "--seed", "77", "--json").code == 0
    group = one(stage, "SELECT consumer_group FROM bo.cutovers WHERE state <> 'abandoned'")
    for (topic,) in stage.query("SELECT DISTINCT topic FROM bo.stream_progress"):
        target.broker.commit(group, target.broker.latest_offsets(topic))


def test_reconcile_finds_and_repairs_from_the_command(faulty: Stage) -> None:
    before = faulty.digest()
    assert faulty.run("reconcile", faulty.name).code == 0
    lost = one(faulty, "SELECT min(tx_id) FROM bo.ledger_entries WHERE src = 'backfill'")
    run(faulty, "DELETE FROM bo.ledger_entries WHERE tx_id = %s", lost)
    found = faulty.run("reconcile", faulty.name, "--json")
    assert found.code == 4
    assert [(e["class"], e["key"]) for e in found.event("Difference")] == [("missing", lost)]
    refused = faulty.run("reconcile", faulty.name, "--repair", "--json")
    assert (refused.code, refused.codes) == (1, {"no-terminal"})
    assert faulty.digest() != before
    mended = faulty.run("reconcile", faulty.name, "--repair", "--auto-approve", "--json")
    assert mended.code == 0, mended.out
    assert [e["rows"] for e in mended.event("RepairPlan")] == [1]
    assert faulty.digest() == before


def test_the_books_and_the_fingerprint_are_told(faulty: Stage) -> None:
    books = faulty.run("books", faulty.name, "--json")
    assert books.code == 0, books.out
    assert books.event("Books")[0]["off"] == 0
    assert all(p["consumed"] == p["applied"] + p["duplicate"] + p["stale"] + p["dlq"] for p in books.event("Partition"))
    told = {e["table"]: (e["rows"], int(e["hash"], 16)) for e in
            faulty.run("fingerprint", faulty.name, "--json").event("Fingerprint")}
    assert {f"bo.{table}": found for table, found in told.items()} == faulty.digest()
    assert faulty.run("books", faulty.name).out.count("\n") > 4


def test_each_gate_fails_by_its_fault(faulty: Stage) -> None:
    altered = one(faulty, "SELECT max(order_id) FROM bo.payment_orders WHERE src = 'backfill'")
    broken = one(faulty, "SELECT min(tx_id) FROM bo.ledger_entries WHERE src = 'backfill' AND entry_type = 'RECEIVE'")
    run(faulty, "UPDATE bo.payment_orders SET merchant_name = 'altered' WHERE order_id = %s", altered)
    run(faulty, "UPDATE bo.ledger_entries SET amount_signed = 0 WHERE tx_id = %s", broken)
    lose_records(faulty)
    assert faulty.run("feed", str(faulty.manifest), "--synthetic", "10", "--broken", "1", "--seed", "78").code == 0
    faulty.write(slo=TIGHT)

    applying = faulty.start("apply", str(faulty.manifest), "--auto-approve", "--json")
    events = []
    assert applying.stdout is not None
    with faulty.database() as lock:
        for line in applying.stdout:
            event = json.loads(line)
            events.append(event)
            if event.get("address") == "smoke.load" and event["event"] == "StepStarted":
                # The stream can book nothing and no look-up can say how far it is behind: all of them wait.
                lock.execute("LOCK TABLE bo.stream_progress IN ACCESS EXCLUSIVE MODE")
            if event.get("event") == "StepProgress" and str(event.get("note", "")).startswith("the stream drains"):
                lock.rollback()
    _, err = applying.communicate(timeout=120)
    assert applying.returncode == 4, ([e for e in events if e.get("event") == "StepFailed"], err)

    failed = {e["address"]: e["diagnostic"] for e in events if e.get("event") == "StepFailed"}
    assert set(failed) == {f"gate.{name}" for name in GATES}, failed
    # A stalled consumer is told as failed or as silent, and never as good.
    codes = {address: found["code"] for address, found in failed.items()}
    assert {codes.pop("gate.freshness"), codes.pop("gate.lag")} <= {"gate-fail", "gate-no-data"}
    assert set(codes.values()) == {"gate-fail"}
    assert "2 diverged" in failed["gate.reconcile"]["summary"]
    books = faulty.run("books", faulty.name, "--json")
    assert books.code == 4
    assert sum(p["passed_over"] for p in books.event("Partition")) == 15
    assert books.event("Books")[0]["unbalanced"] == 1


def test_the_history_keeps_each_value_with_its_run(faulty: Stage) -> None:
    history = faulty.run("gates", faulty.name, "--gate", "reconcile", "--json")
    assert history.code == 0
    answers = history.event("GateAnswer")
    assert [a["outcome"] for a in answers] == ["pass", "fail"]
    assert [a["value"] for a in answers] == [0, 2]
    runs = [json.loads(line)["run"] for line in faulty.run("history", faulty.name, "--json").out.splitlines()]
    assert [a["run"] for a in answers] == runs
    every = {e["gate"] for e in faulty.run("gates", faulty.name, "--json").event("GateAnswer")}
    assert every == {"revision", *GATES}
    assert faulty.run("gates", faulty.name).code == 0
    assert faulty.run("gates", faulty.name, "--gate", "nothing", "--json").codes == {"unknown-gate"}


def test_without_data_no_gate_passes(faulty: Stage) -> None:
    specs = {c["address"]: c["spec"] for c in faulty.plan().plan["changes"]}
    run(faulty, "DELETE FROM bo.proofs")
    run(faulty, "UPDATE bo.cutovers SET state = 'abandoned'")
    target = faulty._target()
    for name in GATES:
        address = Address("gate", name)
        change = Change(address, Action.RUN, specs[str(address)], frozenset(), "", None)
        with pytest.raises(Refused) as refused:
            KIND.apply(change, target, QUIET)
        assert (refused.value.diagnostics[0].code, refused.value.exit_code) == ("gate-no-data", 4), name
    assert faulty.run("reconcile", faulty.name, "--json").codes == {"not-loaded"}
    run(faulty, "UPDATE bo.cutovers SET state = 'syncing'")
