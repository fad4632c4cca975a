"""Every resource type of the azure target against the ARM server: made, read back as declared, changed, deleted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.kinds.base import discover
from engine.load import load_manifest
from engine.model.address import Address
from engine.model.change import Action
from engine.model.diagnostic import Refused
from engine.planning.graph import compile_graph, environment_of
from engine.policy.naming import all_names, names_of
from engine.providers.azure import open_target
from engine.providers.base import Context
from tests.azure.arm import ArmServer, Fault
from tests.azure.provided import PLAIN, Azure, until


@pytest.fixture
def signed_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    def sign(arm: ArmServer) -> None:
        for name, value in arm.environment().items():
            monkeypatch.setenv(name, value)

    return sign


@pytest.fixture
def azure(arm: ArmServer, tmp_path: Path, signed_in: Any) -> Iterator[Azure]:
    signed_in(arm)
    yield Azure(arm, tmp_path)


def test_what_was_made_reads_back_as_declared_and_a_second_look_writes_nothing(azure: Azure) -> None:
    assert {azure.action(name) for name in PLAIN} == {Action.CREATE}
    azure.make_all()
    azure.open()
    mark = len(azure.arm.record.calls)
    assert {name: azure.diffs(name) for name in PLAIN if azure.action(name) is not Action.NOOP} == {}
    assert [c for c in azure.arm.record.calls[mark:] if c.method in ("PUT", "PATCH", "DELETE")] == []
    assert azure.arm.record.leaks(["Only-for-4-tests"]) == []
    assert azure.target.resources["vault"].inventory() == [azure.step("vault").spec["name"]]


@pytest.mark.parametrize(("name", "values"), [
    ("hub-ledger", {"hubs": {"ledger": {"partitions": 4}}}),
    ("postgres", {"postgres": {"version": 17}}),
    ("registry", {"azure": {"location": "koreacentral"}}),
])
def test_what_cannot_change_in_place_is_replaced(azure: Azure, tmp_path: Path, name: str,
                                                 values: dict[str, Any]) -> None:
    azure.make_all()
    base = yaml.safe_load((tmp_path / "manifest.yaml").read_text())
    merged = {**values, "azure": {**base["azure"], **values.get("azure", {})}}
    assert Azure(azure.arm, tmp_path, **merged).action(name) is Action.REPLACE


def test_a_disk_grows_in_place_and_never_shrinks(azure: Azure, tmp_path: Path) -> None:
    own = yaml.safe_load((tmp_path / "manifest.yaml").read_text())["azure"]
    bigger = Azure(azure.arm, tmp_path, postgres={"storage_gb": 64}, azure=own)
    bigger.make_all()
    assert Azure(azure.arm, tmp_path, azure=own).action("postgres") is Action.REPLACE
    assert Azure(azure.arm, tmp_path, postgres={"storage_gb": 128}, azure=own).action("postgres") is Action.UPDATE


@pytest.mark.parametrize("fault", [
    Fault.status(429, retry_after=1), Fault.status(503), Fault.reset(), Fault.reset(after=True)])
@pytest.mark.parametrize("name", ["group", "vault", "namespace", "hub-ledger", "identity"])
def test_a_passing_fault_is_overcome(azure: Azure, fault: Any, name: str) -> None:
    for before in PLAIN[:PLAIN.index(name)]:
        if before in ("group", "namespace"):
            azure.make(before)
    azure.arm.faults.inject("PUT", r".*", nth=1, fault=fault)
    azure.make(name)
    azure.open()
    assert azure.action(name) is Action.NOOP


def test_a_lock_is_told_before_and_when_it_stops_a_delete(azure: Azure) -> None:
    azure.make("group")
    azure.make("identity")
    step = azure.step("identity")
    azure.arm.lock(f"/subscriptions/{azure.arm.subscription}/resourceGroups/{azure.step('group').spec['name']}")
    azure.open()
    inside = azure.target.resources["identity"].foreign(str(step.spec["name"]))
    assert inside and inside[0].why == "locked"
    with pytest.raises(Refused) as refused:
        azure.target.resources["identity"].delete(str(step.spec["name"]), azure.context)
    assert refused.value.diagnostics[0].code == "scope-locked"


def test_a_deleted_vault_is_recovered_or_purged(azure: Azure, tmp_path: Path) -> None:
    azure.make("group")
    azure.make("vault")
    name = str(azure.step("vault").spec["name"])
    azure.target.resources["vault"].delete(name, azure.context)
    assert azure.action("vault") is Action.CREATE
    azure.make("vault")
    azure.target.resources["vault"].delete(name, azure.context)
    own = yaml.safe_load((tmp_path / "manifest.yaml").read_text())["azure"]
    purging = Azure(azure.arm, tmp_path, azure={**own, "soft_deleted": "purge"})
    purging.make("vault")
    assert [c for c in azure.arm.record.calls if c.path.endswith("/purge")]


_SERVER = """
import sys
from pathlib import Path
from tests.azure.test_provider_types import again
again(Path(sys.argv[1]))
"""


def test_a_kill_while_a_server_is_made_is_gone_on_with_and_not_begun_anew(azure: Azure, tmp_path: Path) -> None:
    for name in ("group", "vault", "role-deployer-secrets"):
        azure.make(name)
    assert azure.target.secrets is not None
    azure.target.secrets.set("postgres-admin", "Only-for-4-tests")
    azure.arm.clock.scale = 0.006
    pending = tmp_path / "state" / "azure" / "test-eva" / "pending"
    child = subprocess.Popen([sys.executable, "-c", _SERVER, str(tmp_path)], cwd=Path(__file__).parents[2])
    try:
        until(lambda: any(pending.glob("*.json")))
    finally:
        child.kill()
        child.wait()
    azure.open()
    azure.make("postgres")
    writes = [c for c in azure.arm.record.calls if c.method == "PUT" and c.path.lower().endswith(
        str(azure.step("postgres").spec["name"]))]
    assert len(writes) == 1
    assert azure.action("postgres") is Action.NOOP
    assert list(pending.glob("*.json")) == []


def again(folder: Path) -> None:
    """In a process of its own: the server of the manifest in `folder`."""
    found, _ = load_manifest(folder / "manifest.yaml", today=date(2026, 11, 24))
    assert found is not None
    environment = environment_of(found)
    target = open_target(environment, all_names(names_of(environment)), folder / "state")
    step = compile_graph(found, discover()).steps[Address("resource", "postgres")]
    target.resources["postgres"].apply(str(step.spec["name"]), {k: v for k, v in step.spec.items() if k != "type"},
                                       Context(lambda progress: None, lambda: False))
