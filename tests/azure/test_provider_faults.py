"""A fault at the first call of every kind: reads, writes, deletes, polls, keys, secrets and tokens."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.model.change import Action
from engine.model.diagnostic import Refused
from engine.providers.azure import policies
from tests.azure.arm import ArmServer, Fault
from tests.azure.arm.faults import Faults
from tests.azure.provided import PLAIN, Azure

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{20,}|[0-9a-f]{24,}", re.IGNORECASE)


class OfEachKind(Faults):
    """The same fault at the first call of each method and path; what differs by an operation's id alone is one."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault = fault
        self.came: set[tuple[str, str]] = set()

    def at(self, method: str, path: str) -> Fault | None:
        kind = (method, _ID.sub("ID", path.lower()))
        if kind in self.came:
            return None
        self.came.add(kind)
        return self.fault


@pytest.fixture
def azure(arm: ArmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Azure:
    for name, value in arm.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(policies, "_LONGEST_S", 0.1)
    return Azure(arm, tmp_path)


def again(azure: Azure, doing: Callable[[], object]) -> list[str]:
    """Do it until it is done, each time as another process would; the codes with which it stopped."""
    codes: list[str] = []
    while len(codes) < 4:
        try:
            doing()
            return codes
        except Refused as refused:
            codes.append(refused.diagnostics[0].code)
            azure.open()
    raise AssertionError(codes)


@pytest.mark.parametrize("fault", [Fault.status(429, retry_after=1), Fault.status(503), Fault.reset(),
                                   Fault.reset(after=True)], ids=["429", "503", "reset", "reset-after"])
def test_a_fault_at_each_kind_of_call_is_overcome_or_told(azure: Azure, fault: Fault) -> None:
    azure.arm.faults = faults = OfEachKind(fault)
    stopped: dict[str, list[str]] = {}
    for name in PLAIN:
        if name == "postgres":
            assert azure.target.secrets is not None
            stopped["secret"] = again(azure, lambda: azure.target.secrets.set("postgres-admin", "Only-for-4-tests"))
        stopped[name] = again(azure, lambda name=name: azure.make(name))
    azure.open()
    assert {name for name in PLAIN if azure.action(name) is not Action.NOOP} == set()
    for name in reversed(PLAIN):
        step = azure.step(name)
        stopped[f"-{name}"] = again(azure, lambda step=step: azure.target.resources[str(step.spec["type"])].delete(
            str(step.spec["name"]), azure.context))
    azure.open()
    assert {name for name in PLAIN if azure.action(name) is not Action.CREATE} == set()
    assert {codes for codes in map(tuple, stopped.values()) if codes} <= {("azure-away",), ("no-credential",)}
    came = {method for method, _ in faults.came}
    assert came == {"GET", "PUT", "POST", "DELETE"}
    assert any("operation" in path for method, path in faults.came if method == "GET")


@pytest.mark.parametrize("name", ["postgres", "namespace", "apphost", "workspace"])
def test_an_operation_that_fails_is_told_and_begun_anew_by_the_next_apply(azure: Azure, name: str) -> None:
    for before in PLAIN[:PLAIN.index(name)]:
        if before in ("group", "workspace", "vault", "role-deployer-secrets"):
            azure.make(before)
    assert azure.target.secrets is not None
    if name == "postgres":
        azure.target.secrets.set("postgres-admin", "Only-for-4-tests")
    azure.arm.faults.inject("PUT", rf"/{azure.step(name).spec['name']}$",
                            fault=Fault.fail_operation("InternalServerError", "No room."))
    with pytest.raises(Refused) as refused:
        azure.make(name)
    said = refused.value.diagnostics[0]
    assert (said.code, said.detail) in (("azure-refused", "No room."), ("operation-failed", "It tells no reason."))
    azure.open()
    assert azure.action(name) in (Action.CREATE, Action.UPDATE)
    azure.make(name)
    assert azure.action(name) is Action.NOOP
