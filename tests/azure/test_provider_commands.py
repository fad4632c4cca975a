"""`txplan doctor` and `txplan image` against the server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from engine.cli import cli
from engine.model.diagnostic import Refused
from tests.azure.arm import ArmServer, Fault
from tests.azure.provided import Azure


class Commands:
    """Runs a command on the environment's manifest, in this process."""

    def __init__(self, azure: Azure, output: pytest.CaptureFixture[str]) -> None:
        self.azure, self._output = azure, output

    def __call__(self, name: str) -> tuple[object, list[dict[str, Any]]]:
        self._output.readouterr()
        code = cli.main([name, str(self.azure.folder / "manifest.yaml"), "--json"], standalone_mode=False)
        return code, [json.loads(line) for line in self._output.readouterr().out.splitlines()]

    def doctor(self) -> tuple[object, dict[str, tuple[str, str]]]:
        """The exit code; by what was looked at, the state and what it says."""
        code, findings = self("doctor")
        return code, {f["what"]: (f["state"], f["says"]) for f in findings}


@pytest.fixture
def txplan(arm: ArmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
           capsys: pytest.CaptureFixture[str]) -> Commands:
    for name, value in {**arm.environment(), "TXPLAN_STATE_DIR": str(tmp_path / "state")}.items():
        monkeypatch.setenv(name, value)
    return Commands(Azure(arm, tmp_path), capsys)


def test_the_doctor_finds_nothing_where_all_is_good_and_changes_nothing(txplan: Commands, arm: ArmServer) -> None:
    code, found = txplan.doctor()
    assert code == 0 and {state for state, _ in found.values()} == {"ok"}
    assert set(found) == {"credential", "clock", "providers", "rights", "group"}
    assert arm.owner.object_id in found["credential"][1]
    assert [c for c in arm.record.calls if c.method not in ("GET", "HEAD") and c.plane == "arm"] == []


def test_the_doctor_tells_a_wrong_credential(txplan: Commands, arm: ArmServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "not-the-one")
    monkeypatch.setenv("PATH", "")  # Nor is there a CLI that somebody has signed in by.
    code, found = txplan.doctor()
    assert code == 1 and set(found) == {"credential"} and found["credential"][0] == "error"
    assert "environment: " in found["credential"][1] and "not-the-one" not in found["credential"][1]


def test_the_doctor_names_rights_and_providers_that_are_missing(txplan: Commands, arm: ArmServer) -> None:
    arm.registered.discard("microsoft.app")
    arm.restrict(("*/read", "Microsoft.KeyVault/*"))
    code, found = txplan.doctor()
    assert code == 1
    assert found["providers"] == ("error", "not registered: Microsoft.App")
    state, missing = found["rights"]
    assert state == "error" and "Microsoft.Authorization/roleAssignments/write" in missing
    assert "Microsoft.KeyVault" not in missing
    assert found["credential"][0] == found["group"][0] == "ok"


def test_authorities_that_cannot_be_read_are_told(txplan: Commands, arm: ArmServer) -> None:
    arm.ca_bundle.rename(arm.ca_bundle.with_suffix(".away"))
    with pytest.raises(Refused) as refused:
        txplan("doctor")
    assert refused.value.diagnostics[0].code == "ca-file"


def test_the_doctor_tells_whose_group_it_is(txplan: Commands, arm: ArmServer) -> None:
    txplan.azure.make("group")
    arm.manage(str(txplan.azure.step("group").spec["name"]), "/subscriptions/platform")
    code, found = txplan.doctor()
    assert code == 1 and found["group"][0] == "error" and "/subscriptions/platform" in found["group"][1]


def test_an_image_wants_a_registry(txplan: Commands) -> None:
    with pytest.raises(Refused) as refused:
        txplan("image")
    assert refused.value.diagnostics[0].code == "no-registry"


def test_an_image_is_built_by_the_registry_and_named_by_its_digest(txplan: Commands, arm: ArmServer) -> None:
    txplan.azure.make("group")
    txplan.azure.make("registry")
    arm.faults.inject("POST", "/listBuildSourceUploadUrl$", fault=Fault.status(503))
    code, events = txplan("image")
    assert code in (0, None) and [e["event"] for e in events] == ["ImageBuilt"]
    assert re.fullmatch(r"127[.\d]+:\d+/txplan@sha256:[0-9a-f]{64}", events[0]["image"])
    assert txplan.azure.target.resources["image"].observe("image") is not None
    arm.restrict(("*/read",))
    with pytest.raises(Refused) as refused:
        txplan("image")
    assert refused.value.diagnostics[0].code == "no-right"


def test_no_image_is_built_where_the_manifest_names_one(arm: ArmServer, txplan: Commands, tmp_path: Path) -> None:
    txplan.azure = Azure(arm, tmp_path, azure={
        "subscription": arm.subscription, "tenant": arm.tenant, "location": "West US 2", "endpoint": arm.endpoint,
        "authority": arm.authority, "ca_file": str(arm.ca_bundle),
        "image": f"ci.example/txplan@sha256:{'0' * 64}"})
    with pytest.raises(Refused) as refused:
        txplan("image")
    assert refused.value.diagnostics[0].code == "image-named"
    assert [c for c in arm.record.calls if c.method == "POST" and c.plane == "arm"] == []


def test_a_list_says_which_environments_it_does_not_look_at(txplan: Commands,
                                                            capsys: pytest.CaptureFixture[str]) -> None:
    txplan("plan")
    assert not cli.main(["list"], standalone_mode=False)
    said = capsys.readouterr().err
    assert "(elsewhere)" in said and "test-eva" in said
