"""Environments side by side: other ports, other secrets, and destroying one leaves the others serving."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.stage import Stage, staged


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory, up: Stage) -> Iterator[tuple[Stage, Stage]]:
    """Another owner in the same state folder, and the same name in another state folder."""
    folder = tmp_path_factory.mktemp("beside")
    small: dict[str, Any] = {"load": {"source": "none", "duration": "2s"}}
    with staged(folder / "lena", state=up.state, owner="lena", **small) as lena, staged(folder / "eva", **small) as eva:
        yield lena, eva


def test_neighbours_never_meet(up: Stage, neighbours: tuple[Stage, Stage]) -> None:
    applying = [other.start("apply", str(other.manifest), "--auto-approve", "--json") for other in neighbours]
    for process in applying:
        out, err = process.communicate(timeout=120)
        assert process.returncode in (0, 4), (out, err)  # Without a stream some gates have no data.
    everybody = [up, *neighbours]
    ports = [port for stage in everybody for port in _ports(stage)]
    assert len(ports) == len(set(ports)) and len(ports) >= 3 * 5
    tokens = [stage.secrets()["api-token"] for stage in everybody]
    bases = [stage.endpoints("api")[0] for stage in everybody]
    answers = [[up.ask("/admin/tx/nobody-knows-this", token, base=base)[0] for token in tokens] for base in bases]
    assert answers == [[404 if token == own else 401 for token in range(3)] for own in range(3)]
    for number, other in enumerate(neighbours, start=1):
        if number == 2:
            other.kill_all()  # As after a power cut.
        gone = other.destroy()
        assert gone.code == 0, gone.failures
        other.assert_gone()
        left = [b for n, b in enumerate(bases) if n > number or n == 0]
        assert {up.ask("/healthz", base=base)[0] for base in left} == {200}
    assert up.plan().code == 0


def _ports(stage: Stage) -> list[int]:
    found = {c.laddr.port for p in stage.processes() for c in p.net_connections("tcp") if c.status == "LISTEN"}
    hosts = {c.laddr.ip for p in stage.processes() for c in p.net_connections("tcp") if c.status == "LISTEN"}
    assert hosts == {"127.0.0.1"}
    return sorted(found)
