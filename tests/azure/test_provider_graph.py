"""The same manifest on both targets: the same graph where a thing exists on both; no Azure package for the local."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.kinds.base import discover
from engine.load import load_manifest
from engine.planning.graph import Graph, compile_graph

_HEAD = {"project": "txlookup", "team": "team4", "owner": "eva", "env": "test", "ttl": "2099-12-31",
         "profile": "cloud-test"}
_AZURE = {"subscription": "00000000-0000-0000-0000-000000000000", "location": "Korea Central"}


def _graph(folder: Path, **values: Any) -> Graph:
    path = folder / "manifest.yaml"
    path.write_text(yaml.safe_dump({**_HEAD, **values}))
    manifest, problems = load_manifest(path, today=date(2026, 11, 24))
    assert manifest is not None, problems
    return compile_graph(manifest, discover())


def test_the_graph_is_the_same_where_the_thing_exists_on_both(tmp_path: Path) -> None:
    local, azure = _graph(tmp_path, target="local"), _graph(tmp_path, target="azure", azure=_AZURE)
    assert set(local.steps) < set(azure.steps)
    assert set(local.edges.edges) < set(azure.edges.edges)
    assert {a.kind for a in set(azure.steps) - set(local.steps)} == {"resource"}
    for address in set(local.steps) - {a for a in local.steps if a.kind in ("resource", "app")}:
        assert azure.steps[address].spec == local.steps[address].spec, address
    for address, step in local.steps.items():
        if address.kind == "app":
            assert step.spec["revision"] == azure.steps[address].spec["revision"]


def test_private_is_other_resources_and_nothing_public(tmp_path: Path) -> None:
    public = _graph(tmp_path, target="azure", azure=_AZURE)
    private = _graph(tmp_path, target="azure", azure=_AZURE, access="private")
    told = {str(s.spec["public_network_access"]) for s in private.steps.values() if "public_network_access" in s.spec}
    assert told == {"Disabled"}
    more = {s.spec["type"] for a, s in private.steps.items() if a not in public.steps}
    assert more == {"network", "zone", "endpoint"}
    assert not any(s.spec.get("type") == "firewall" for s in private.steps.values())


@pytest.mark.parametrize(("azure", "code"), [
    ({"location": "koreacentral"}, "missing-key"),
    ({**_AZURE, "allow": {"office": "10.0.0.9-10.0.0.1"}}, "not-allowed"),
    ({**_AZURE, "address_space": "10.60.0.0/24"}, "out-of-range"),
    ({**_AZURE, "image": "txplan:latest"}, "not-allowed"),
])
def test_what_is_wrong_with_the_place_is_told(tmp_path: Path, azure: dict[str, Any], code: str) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text(yaml.safe_dump({**_HEAD, "target": "azure", "azure": azure}))
    manifest, problems = load_manifest(path, today=date(2026, 11, 24))
    assert manifest is None
    assert code in {p.code for p in problems}


_LOCAL = """
import sys
from engine.cli import cli
cli.main(sys.argv[1:], standalone_mode=False)
found = sorted(m for m in sys.modules if m.partition(".")[0] in ("azure", "msal", "requests"))
assert not found, found
"""


@pytest.mark.parametrize("command", [["--help"], ["plan", "--help"], ["plan", "MANIFEST"], ["doctor", "MANIFEST"]])
def test_local_commands_import_no_azure_package(tmp_path: Path, command: list[str]) -> None:
    manifest = tmp_path / "dev.yaml"
    manifest.write_text(yaml.safe_dump({**_HEAD, "target": "local"}))
    arguments = [str(manifest) if part == "MANIFEST" else part for part in command]
    done = subprocess.run([sys.executable, "-c", _LOCAL, *arguments], cwd=tmp_path, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr[-2000:]
