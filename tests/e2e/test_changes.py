"""Changing what is there: the plan shows exactly that and what it forces, and the next plan has no changes."""

from __future__ import annotations

import pytest

from engine.kinds.gate import GATES
from tests.e2e.stage import Stage

PROOFS = {"smoke.service", "smoke.load", *(f"gate.{name}" for name in GATES)}


def applied(stage: Stage) -> None:
    """Apply, and find nothing more to do."""
    result = stage.apply()
    assert result.code == 0, result.failures
    again = stage.plan()
    assert (again.code, again.actions) == (0, {})


def test_retention_changes_in_place(up: Stage) -> None:
    before = up.digest()
    up.write(hubs={"ledger": {"retention": "4d"}})
    seen = up.plan()
    assert seen.code == 2
    assert {a for a, action in seen.actions.items() if action not in ("run", "update")} == set()
    [diff] = seen.change("resource.hub-ledger")["diffs"]
    assert (diff["path"], diff["before"], diff["after"], diff["replaces"]) == ("retention_hours", 72, 96, False)
    applied(up)
    assert up.digest() == before


def test_a_limit_changes_its_gate_alone(up: Stage) -> None:
    up.write(slo={"api_p95": "9s"})
    assert up.plan().actions == {"gate.api": "run"}
    applied(up)


def test_replicas_are_added(up: Stage) -> None:
    up.write(api={"replicas": 2})
    seen = up.plan()
    assert (seen.actions["app.api"], set(seen.actions) - {"app.api"} <= PROOFS) == ("update", True)
    [diff] = [d for d in seen.change("app.api")["diffs"] if d["path"] == "replicas"]
    assert (diff["before"], diff["after"]) == (1, 2)
    applied(up)
    token, bases = up.secrets()["api-token"], up.endpoints("api")
    assert len(set(bases)) == 2
    assert [up.ask("/admin/tx/nobody-knows-this", token, base=base)[0] for base in bases] == [404, 404]


def test_partitions_are_replaced_and_the_cutover_with_them(up: Stage) -> None:
    before, generation = up.digest(), up.query("SELECT max(generation) FROM bo.cutovers")[0][0]
    up.write(hubs={"ledger": {"partitions": 3}})
    seen = up.plan()
    assert (seen.code, seen.actions["resource.hub-ledger"]) == (2, "replace")
    [diff] = [d for d in seen.change("resource.hub-ledger")["diffs"] if d["path"] == "partitions"]
    assert (diff["before"], diff["after"], diff["replaces"]) == (2, 3, True)
    assert seen.actions["cutover.stream"] == "run" and seen.actions["app.consumer"] == "update"
    assert not {a for a, action in seen.actions.items() if action == "delete"}
    applied(up)
    assert up.query("SELECT max(generation) FROM bo.cutovers") == [(generation + 1,)]
    assert up.digest() == before


def test_a_rotated_secret_restarts_who_reads_it(up: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2E_TOKEN", "a token of the user's own choice, long enough")
    up.write(secrets={"api-token": {"from_env": "E2E_TOKEN"}})
    seen = up.plan()
    assert seen.actions["secret.api-token"] == "update" and seen.actions["app.api"] == "update"
    assert "app.consumer" not in seen.actions
    assert "of the user's own choice" not in seen.out + seen.err
    applied(up)
    assert up.ask("/admin/tx/nobody-knows-this", "a token of the user's own choice, long enough")[0] == 404
    # Without the variable the vault alone has it, and whoever destroys that is asked to answer for it.
    monkeypatch.delenv("E2E_TOKEN")
    lost = up.plan("--destroy")
    assert (lost.code, lost.blocked) == (3, {"no-way-back"})
    up.write(secrets={"api-token": {"generate": 32}})
    assert up.plan("--destroy").code == 2 and up.plan().code == 0
