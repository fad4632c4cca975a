"""The whole road on the azure target, by the command: to green gates, nothing to change, and back to nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.azure.arm import ArmServer

_TXPLAN = str(Path(sys.executable).with_name("txplan"))


def test_from_nothing_to_green_gates_to_no_changes_and_back_to_nothing(arm_real: ArmServer, tmp_path: Path) -> None:
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
        done = subprocess.run([_TXPLAN, *arguments, "--json"], cwd=tmp_path, capture_output=True, text=True,
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

    code, events = run("destroy", str(manifest), "--confirm", "test-eva")
    assert code == 0, _failures(events)
    group = f"/subscriptions/{arm_real.subscription}/resourceGroups/team4-txlookup-rg-eva-test".lower()
    assert [key for key in arm_real.state.resources if key.startswith(group)] == []


def _failures(events: list[dict[str, object]]) -> str:
    """What went wrong, whole, for the message of an assertion."""
    return json.dumps([e for e in events if e.get("event") in ("StepFailed", "Diagnostic")])
