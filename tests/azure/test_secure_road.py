"""A private environment built from the evidence of a public one (P3.2), by the command, and back to nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.azure.arm import ArmServer

_TXPLAN = str(Path(sys.executable).with_name("txplan"))
_SMALL = {"synthetic": {"payments": 300}}
_SECURE = "team4-txlookup-rg-eva-stage"
Events = list[dict[str, Any]]


@pytest.fixture(scope="module")
def arm() -> Iterator[ArmServer]:
    """Who runs txplan here is in the network of what it builds."""
    with ArmServer.running(real=True) as server:
        server.inside = True
        yield server


def _manifest(arm: ArmServer, path: Path, **values: Any) -> Path:
    path.write_text(yaml.safe_dump({
        "project": "txlookup", "team": "team4", "owner": "eva", "ttl": "2099-12-31", "target": "azure", "azure": {
            "subscription": arm.subscription, "tenant": arm.tenant, "location": "West US 2", "endpoint": arm.endpoint,
            "authority": arm.authority, "ca_file": str(arm.ca_bundle)},
        "backfill": {"source": _SMALL}, "load": {
            "source": _SMALL, "events_per_s": 300, "requests_per_s": 20, "duration": "3s"},
        "consumer": {"replicas": 1}, "api": {"replicas": 1},
        # What is proven here is the road; how fast this machine is plays no part.
        "slo": {"api_p95": "10s", "freshness_p95": "60s"}, **values}))
    return path


def _run(arm: ArmServer, folder: Path, *arguments: str) -> tuple[int, Events]:
    done = subprocess.run([_TXPLAN, *arguments, "--json"], cwd=folder, capture_output=True, text=True, check=False,
                          env={**os.environ, **arm.environment(), "TXPLAN_STATE_DIR": str(folder / "state")})
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_from_evidence_to_a_private_environment_and_back_to_nothing(arm: ArmServer, tmp_path: Path) -> None:
    public = _manifest(arm, tmp_path / "test.yaml", env="test", profile="cloud-test")
    secure = _manifest(arm, tmp_path / "stage.yaml", env="stage", profile="cloud-secure")

    code, events = _run(arm, tmp_path, "promote", str(public), "--to", str(secure), "--auto-approve")
    assert (code, events[-1]["code"]) == (3, "no-evidence")
    code, events = _run(arm, tmp_path, "apply", str(public), "--auto-approve")
    assert code == 0, _failures(events)
    code, events = _run(arm, tmp_path, "promote", str(public), "--to", str(secure), "--auto-approve")
    assert code == 0, _failures(events)
    passed = {str(e["address"]) for e in events if e.get("event") == "StepSucceeded"}
    assert {"gate.api", "gate.dlq", "gate.errors", "gate.freshness", "gate.pairs", "gate.revision"} <= passed
    _closed(arm)

    mark = len(arm.record.calls)
    code, _ = _run(arm, tmp_path, "plan", str(secure), "--detailed-exitcode")
    assert code == 0
    assert {c.method for c in arm.record.calls[mark:]} <= {"GET", "POST"}

    code, events = _run(arm, tmp_path, "destroy", str(secure), "--confirm", "stage-eva")
    assert code == 0, _failures(events)
    assert [key for key in arm.state.resources if f"/resourcegroups/{_SECURE}" in key] == []
    assert any("/resourcegroups/team4-txlookup-rg-eva-test/" in key for key in arm.state.resources)


def _closed(arm: ArmServer) -> None:
    """Nothing of the secure group is open to the public, nothing secret is in it by value, and roles are few."""
    held = [r for key, r in arm.state.resources.items() if f"/resourcegroups/{_SECURE}/" in key]
    of: dict[str, list[Any]] = defaultdict(list)
    for resource in held:
        of[resource.kind.type.lower()].append(resource)
    for type_ in ("microsoft.keyvault/vaults", "microsoft.eventhub/namespaces", "microsoft.app/managedenvironments",
                  "microsoft.containerregistry/registries"):
        assert [r.properties["publicNetworkAccess"] for r in of[type_]] == ["Disabled"], type_
    server, = of["microsoft.dbforpostgresql/flexibleservers"]
    assert server.properties["network"]["publicNetworkAccess"] == "Disabled"
    assert of["microsoft.dbforpostgresql/flexibleservers/firewallrules"] == []

    host, = of["microsoft.app/managedenvironments"]
    assert host.properties["vnetConfiguration"]["internal"] is True
    shown = host.kind.shown(host)["properties"]
    names = next((r for r in of["microsoft.network/privatednszones/a"] if shown["defaultDomain"] in r.id), None)
    assert names is not None
    assert names.properties["aRecords"] == [{"ipv4Address": shown["staticIp"]}]
    zones = {r.name for r in of["microsoft.network/privatednszones"]}
    assert zones == {"privatelink.postgres.database.azure.com", "privatelink.vaultcore.azure.net",
                     "privatelink.servicebus.windows.net", "privatelink.azurecr.io", shown["defaultDomain"]}
    assert len(of["microsoft.network/privatednszones/virtualnetworklinks"]) == len(zones)
    assert len(of["microsoft.network/privateendpoints"]) == 4

    for run in (*of["microsoft.app/containerapps"], *of["microsoft.app/jobs"]):
        secrets = [s for s in run.properties["configuration"]["secrets"] if s["name"] != "trust"]
        assert secrets, run.name
        assert all(s["keyVaultUrl"] and s["identity"] and not s.get("value") for s in secrets), run.name
        registries = run.properties["configuration"]["registries"]
        assert all(r["identity"] and not r.get("passwordSecretRef") for r in registries), run.name
    roles = of["microsoft.authorization/roleassignments"]
    assert len(roles) == 3
    assert {r.id.rpartition("/providers/")[0].rpartition("/providers/")[2].split("/")[1] for r in roles} == {
        "vaults", "registries"}


def _failures(events: Events) -> str:
    """What went wrong, whole, for the message of an assertion."""
    return json.dumps([e for e in events if e.get("event") in ("StepFailed", "Diagnostic") or "code" in e])
