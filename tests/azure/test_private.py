"""What a private environment adds, type by type: read back as declared, mended where a part of it is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.model.change import Action
from engine.providers.azure.doctor import PRIVATE_NEEDED, PRIVATE_RIGHTS
from tests.azure.arm import ArmServer
from tests.azure.provided import Azure

_MADE = ["group", "workspace", "network", "apphost", "registry", "zone-registry", "endpoint-registry"]


@pytest.fixture
def azure(arm: ArmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    for variable, value in arm.environment().items():
        monkeypatch.setenv(variable, value)
    yield Azure(arm, tmp_path, access="private")


def test_a_name_that_nobody_could_look_up_is_seen_and_mended(azure: Azure) -> None:
    for name in _MADE:
        azure.make(name)
    azure.open()
    assert {name: azure.diffs(name) for name in _MADE if azure.action(name) is not Action.NOOP} == {}

    _lose(azure.arm, "microsoft.network/privatednszones/a")
    azure.open()
    assert azure.action("apphost") is Action.UPDATE
    azure.make("apphost")
    _lose(azure.arm, "microsoft.network/privateendpoints/privatednszonegroups")
    azure.open()
    assert azure.action("apphost") is Action.NOOP
    assert (azure.action("endpoint-registry"), azure.diffs("endpoint-registry")) == (Action.UPDATE, ["zone"])
    azure.make("endpoint-registry")
    azure.open()
    assert azure.action("endpoint-registry") is Action.NOOP

    for name in ("apphost", "endpoint-registry", "zone-registry", "network"):
        step = azure.step(name)
        azure.target.resources[str(step.spec["type"])].delete(str(step.spec["name"]), azure.context)
    assert [r.id for r in azure.arm.state.resources.values() if "/microsoft.network/" in r.id.lower()] == []


def test_the_doctor_asks_for_the_network_too(azure: Azure) -> None:
    azure.arm.registered.discard("microsoft.network")
    azure.arm.restrict(("*/read",))
    assert azure.target.doctor is not None
    told = {f.what: f.says for f in azure.target.doctor.look()}
    assert all(name in told["providers"] for name in PRIVATE_NEEDED)
    assert all(right in told["rights"] for right in PRIVATE_RIGHTS)


def _lose(arm: ArmServer, type_: str) -> None:
    """Somebody deletes all resources of a type."""
    lost = [r for r in arm.state.resources.values() if r.kind.type.lower() == type_]
    assert lost
    for resource in lost:
        arm.state.drop(resource)
