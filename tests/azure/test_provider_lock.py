"""The lock in a blob: one apply at a time from anywhere, a holder that was killed, and `txplan unlock`."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.model.diagnostic import Refused
from tests.azure.arm import ArmServer, Fault
from tests.azure.provided import TXPLAN, Azure, until

_NAME = "test-eva"


@pytest.fixture
def azure(arm: ArmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Azure:
    for name, value in arm.environment().items():
        monkeypatch.setenv(name, value)
    return Azure(arm, tmp_path, azure={
        "subscription": arm.subscription, "tenant": arm.tenant, "location": "West US 2", "endpoint": arm.endpoint,
        "authority": arm.authority, "ca_file": str(arm.ca_bundle), "state": arm.blobs.container("state")})


@contextmanager
def applying(azure: Azure) -> Iterator[subprocess.Popen[bytes]]:
    """An apply on another machine, which has the lock and waits for Azure."""
    azure.arm.clock.scale = 10.0
    child = subprocess.Popen([TXPLAN, "apply", str(azure.folder / "manifest.yaml"), "--auto-approve"],
                             env=azure.variables("there"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: (standing := azure.target.lock.standing()) is not None and standing.holder is not None)
        yield child
    finally:
        child.kill()
        child.wait()


def taken(azure: Azure) -> bool:
    """Whether it can be taken now; it is given back."""
    try:
        with azure.target.lock.acquire("apply"):
            return True
    except Refused as refused:
        assert (refused.exit_code, refused.diagnostics[0].code) == (6, "locked")
        return False


def test_of_two_applies_the_second_is_told_who_has_the_lock_and_unlock_takes_it_away(azure: Azure) -> None:
    with applying(azure) as first:
        second = azure.run("apply", "--auto-approve", "--json", state="here")
        assert second.returncode == 6
        [said] = [e for e in map(json.loads, second.stdout.splitlines()) if e.get("event") == "Diagnostic"]
        assert said["code"] == "locked"
        assert f"@{socket.gethostname()} (pid {first.pid})" in said["summary"]
    assert not taken(azure)  # It was killed, and its lease goes on for a while.
    asked = azure.run("unlock", "--json", state="here")
    assert (asked.returncode, json.loads(asked.stdout)["code"]) == (1, "no-terminal")
    broken = azure.run("unlock", "--confirm", _NAME, "--json", state="here")
    assert (broken.returncode, json.loads(broken.stdout)["broke"]) == (0, True)
    with azure.target.lock.acquire("apply") as mine:
        assert azure.target.lock.holder() == mine
    assert azure.target.lock.holder() is None and azure.target.lock.standing() is None


def test_a_killed_holder_loses_it_when_its_lease_ends(azure: Azure) -> None:
    azure.arm.blobs.lease_scale = 0.05
    with applying(azure):
        pass
    until(lambda: azure.target.lock.holder() is None)
    left = azure.target.lock.standing()
    assert left is not None and not left.held and left.holder is not None and left.holder.purpose == "apply"
    assert taken(azure)
    assert azure.target.lock.standing() is None


def test_a_place_that_cannot_be_reached_is_told(azure: Azure, tmp_path: Path) -> None:
    azure.arm.faults.inject("PUT", "/state/locks/", fault=Fault.status(403), times=9)
    with pytest.raises(Refused) as refused, azure.target.lock.acquire("apply"):
        pass
    assert refused.value.diagnostics[0].code == "lock-away"
    azure.arm.faults.clear()
    azure.arm.faults.inject("PUT", "/state/locks/", nth=2, fault=Fault.reset(after=True))
    assert taken(azure)
