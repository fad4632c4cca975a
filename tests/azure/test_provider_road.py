"""The whole road on the azure target, by the command: to green gates, nothing to change, and back to nothing."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.cli import cli
from engine.load import load_manifest
from engine.planning.graph import environment_of
from engine.policy.naming import all_names, names_of
from engine.providers.azure import open_target
from engine.providers.base import Capabilities
from tests.azure.arm import ArmServer
from tests.azure.provided import TXPLAN

_LOOKS = {"status": (), "cutover status": (), "books": (), "reconcile": (), "gates": (), "dlq list": (),
          "secret list": (), "evidence list": (), "drift": (), "logs": ("backfill",)}
"""The commands that look at a live environment, with what follows its manifest."""


def test_from_nothing_to_green_gates_to_no_changes_and_back_to_nothing(
        arm_real: ArmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    manifest = tmp_path / "manifest.yaml"
    sample = {"orders": "sample:backfill/orders-2017-01.parquet", "ledger": "sample:backfill/ledger-2017-01.parquet"}
    manifest.write_text(yaml.safe_dump({
        "project": "txlookup", "team": "team4", "owner": "eva", "env": "test", "ttl": "2099-12-31", "target": "azure",
        "profile": "cloud-test", "azure": {
            "subscription": arm_real.subscription, "tenant": arm_real.tenant, "location": "West US 2",
            "endpoint": arm_real.endpoint, "authority": arm_real.authority, "ca_file": str(arm_real.ca_bundle)},
        "backfill": {"source": {"files": sample}, "chunk_rows": 5000},
        "load": {"source": {"synthetic": {"payments": 300}}, "events_per_s": 300, "requests_per_s": 20,
                 "duration": "4s"},
        # What is proven here is the road; how fast this machine is plays no part.
        "slo": {"api_p95": "10s", "freshness_p95": "60s"}}))

    def run(*arguments: str) -> tuple[int, list[dict[str, object]]]:
        done = subprocess.run([TXPLAN, *arguments, "--json"], cwd=tmp_path, capture_output=True, text=True,
                              check=False, env={**os.environ, **arm_real.environment(),
                                                "TXPLAN_STATE_DIR": str(tmp_path / "state")})
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    code, events = run("apply", str(manifest), "--auto-approve")
    assert code == 0, _failures(events)
    passed = {str(e["address"]) for e in events if e.get("event") == "StepSucceeded"}
    assert {"gate.api", "gate.dlq", "gate.errors", "gate.freshness", "gate.pairs", "gate.revision"} <= passed

    mark = len(arm_real.record.calls)
    code, _ = run("plan", str(manifest), "--detailed-exitcode")
    assert code == 0
    assert {c.method for c in arm_real.record.calls[mark:]} <= {"GET", "POST"}
    posts = [c.path for c in arm_real.record.calls[mark:] if c.method == "POST"]
    assert all(path.endswith(("/token", "/listKeys")) for path in posts), posts

    for name, value in {**arm_real.environment(), "TXPLAN_STATE_DIR": str(tmp_path / "state")}.items():
        monkeypatch.setenv(name, value)
    seen = {}
    for command, rest in _LOOKS.items():
        capsys.readouterr()
        told = ["--json"] if command != "logs" else []
        code = cli.main([*command.split(), str(manifest), *rest, *told], standalone_mode=False)
        assert code in (0, None), command
        seen[command] = capsys.readouterr().out
    assert {json.loads(line)["name"] for line in seen["secret list"].splitlines()} >= {"api-token", "postgres-api"}
    assert json.loads(seen["status"])["database"] == "answers"
    assert '"event":"snapshot"' in seen["logs"] and '"already_done":false' in seen["logs"]

    def rotated(name: str) -> bool:
        """Rotate; whether it went on where another was cut off."""
        capsys.readouterr()
        arguments = ["secret", "rotate", str(manifest), name, "--auto-approve", "--json"]
        assert not cli.main(arguments, standalone_mode=False)
        told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return next(bool(e["goes_on"]) for e in told if e["event"] == "Rotation")

    assert not rotated("postgres-admin")
    secrets = _target(manifest, tmp_path).secrets
    assert secrets is not None
    secrets.set("postgres-api", "As-if-cut-off-4-a-test")  # As a rotation that was killed after its switch leaves it.
    assert _needs(manifest, tmp_path) == ["login:bo_api"]
    assert rotated("postgres-api")
    assert _needs(manifest, tmp_path) == []
    assert arm_real.record.leaks(["As-if-cut-off-4-a-test"]) == []

    code, events = run("destroy", str(manifest), "--confirm", "test-eva")
    assert code == 0, _failures(events)
    group = f"/subscriptions/{arm_real.subscription}/resourceGroups/team4-txlookup-rg-eva-test".lower()
    assert [key for key in arm_real.state.resources if key.startswith(group)] == []


def _failures(events: list[dict[str, object]]) -> str:
    """What went wrong, whole, for the message of an assertion."""
    return json.dumps([e for e in events if e.get("event") in ("StepFailed", "Diagnostic")])


def _target(manifest: Path, folder: Path) -> Capabilities:
    """What the manifest's environment offers, opened anew."""
    found, problems = load_manifest(manifest, today=date(2026, 11, 24))
    assert found is not None, problems
    environment = environment_of(found)
    return open_target(environment, all_names(names_of(environment)), folder / "state")


def _needs(manifest: Path, folder: Path) -> list[Any]:
    """What apply would have to mend at the database."""
    live = _target(manifest, folder).resources["database"].observe("txlookup")
    assert live is not None
    needs = live.get("needs", [])
    assert isinstance(needs, list)
    return needs
