"""The road: from a manifest to green gates and back to nothing, on every broker that keeps its data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from engine.assets import asset
from tests.e2e.stage import SMALL, Result, Stage, staged

GATES = {f"gate.{name}" for name in ("revision", "api", "books", "dlq", "errors", "freshness", "lag", "pairs",
                                     "reconcile")}


@pytest.fixture(scope="module", params=["noida", "apache"])
def road(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Result]]:
    """An environment and what applying it said."""
    if request.param == "apache" and not (shutil.which("java") and shutil.which("mvn")):
        pytest.skip("the road was not run on Apache Kafka: it needs java and mvn")
    with staged(tmp_path_factory.mktemp("road"), broker={"engine": request.param}) as stage:
        yield stage, stage.apply()


def sample_rows(name: str) -> int:
    return int(pq.read_metadata(asset("manifests") / "sample" / "backfill" / f"{name}-2017-01.parquet").num_rows)


def test_everything_is_done_and_every_gate_passes(road: tuple[Stage, Result]) -> None:
    _, applied = road
    assert applied.code == 0, applied.failures
    done = {e["address"]: e["result"] for e in applied.event("StepSucceeded")}
    assert set(applied.actions) == set(done) and set(done) >= GATES
    assert {done[gate]["outcome"] for gate in GATES} == {"pass"}
    assert all(done[gate]["value"] is not None and done[gate]["limit"] is not None for gate in GATES)
    [finish] = applied.event("ApplyFinished")
    assert (finish["finish"], finish["failed"], finish["skipped"]) == ("succeeded", 0, 0)


def test_the_tables_hold_the_source_and_the_stream(road: tuple[Stage, Result]) -> None:
    stage, _ = road
    streamed = SMALL["load"]["source"]["synthetic"]["payments"]
    counts = stage.query("SELECT src, count(*) FROM bo.payment_orders GROUP BY 1 ORDER BY 1")
    assert counts == [("backfill", sample_rows("orders")), ("stream", streamed)]
    counts = stage.query("SELECT src, count(*) FROM bo.ledger_entries GROUP BY 1 ORDER BY 1")
    assert counts == [("backfill", sample_rows("ledger")), ("stream", 2 * streamed)]
    assert stage.query("SELECT count(*) FROM bo.consumer_dlq_events") == [(0,)]


def test_a_second_plan_has_no_changes(road: tuple[Stage, Result]) -> None:
    stage, _ = road
    again = stage.plan()
    assert (again.code, again.actions) == (0, {})
    assert stage.apply().code == 0


def test_the_api_answers(road: tuple[Stage, Result]) -> None:
    stage, _ = road
    token, base = stage.secrets()["api-token"], stage.endpoints("api")[0]
    [(tx_id, order_id, wallet)] = stage.query(
        "SELECT tx_id, related_id, wallet_id FROM bo.ledger_entries WHERE entry_type = 'PAYMENT' AND src = 'backfill' "
        "ORDER BY tx_id LIMIT 1")
    status, body = stage.ask(f"/admin/tx/{tx_id}", token, base=base)
    assert (status, body["pairing_status"], body["related"]["related_id"]) == (200, "COMPLETE", order_id)
    assert stage.ask(f"/admin/payment-orders/{order_id}", token, base=base)[0] == 200
    status, body = stage.ask(f"/admin/wallets/{wallet}/tx?limit=100", token, base=base)
    assert status == 200 and tx_id in json.dumps(body)
    assert stage.ask("/admin/tx/nobody-knows-this", token, base=base)[0] == 404
    assert stage.ask(f"/admin/tx/{tx_id}", base=base)[0] == 401
    assert stage.ask(f"/admin/tx/{tx_id}", token[:-1], base=base)[0] == 401


def test_a_secret_is_nowhere_but_in_the_vault(road: tuple[Stage, Result]) -> None:
    stage, applied = road
    texts = stage.secrets()
    assert len(texts) == 5 and min(map(len, texts.values())) >= 32
    shown = {"what apply said": applied.out + applied.err}
    for process in stage.processes():
        shown[f"arguments of {process.pid}"] = " ".join(process.cmdline())
    written = [p for part in ("plans", "journal", f"envs/{stage.name}/logs", f"envs/{stage.name}/records")
               for p in (stage.state / part).rglob("*") if p.is_file()]
    assert {p.relative_to(stage.state).parts[0] for p in written} == {"plans", "journal", "envs"}
    shown |= {str(path): path.read_text(errors="replace") for path in written}
    assert [(where, name) for where, text in shown.items() for name, secret in texts.items() if secret in text] == []


def test_what_is_kept_is_for_its_owner_alone(road: tuple[Stage, Result]) -> None:
    stage, _ = road
    open_to_others = [p for p in stage.state.rglob("*") if p.is_file() and not p.is_symlink()
                      and p.stat().st_mode & 0o077 and not _behind_a_closed_folder(p, stage.state)]
    assert open_to_others == []


def _behind_a_closed_folder(path: Path, top: Path) -> bool:
    return any(parent.stat().st_mode & 0o077 == 0 for parent in path.parents if parent.is_relative_to(top))


def test_destroy_leaves_nothing(road: tuple[Stage, Result]) -> None:
    stage, _ = road
    assert stage.processes() != []
    refused = stage.run("destroy", str(stage.manifest), "--json")
    assert (refused.code, refused.codes) == (1, {"no-terminal"})
    refused = stage.run("destroy", str(stage.manifest), "--json", "--confirm", "dev-somebody")
    assert (refused.code, refused.codes) == (1, {"not-confirmed"})
    gone = stage.destroy()
    assert gone.code == 0, gone.failures
    stage.assert_gone()
    again = stage.destroy()
    assert (again.code, again.actions) == (0, {})
