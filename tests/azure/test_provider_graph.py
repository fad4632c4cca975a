"""The same manifest on both targets: the same graph where a thing exists on both; no Azure package for the local."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from engine.cli import cli
from engine.kinds.base import discover
from engine.load import load_manifest
from engine.model.address import Address
from engine.model.manifest import Manifest
from engine.planning.graph import Graph, compile_graph, environment_of
from engine.providers.azure.site import site_of

_HEAD = {"project": "txlookup", "team": "team4", "owner": "eva", "env": "test", "ttl": "2099-12-31",
         "profile": "cloud-test"}
_AZURE = {"subscription": "00000000-0000-0000-0000-000000000000", "location": "Korea Central"}


def _graph(folder: Path, **values: Any) -> Graph:
    (folder / "manifest.yaml").write_text(yaml.safe_dump({**_HEAD, **values}))
    return compile_graph(_manifest(folder), discover())


def _manifest(folder: Path) -> Manifest:
    manifest, problems = load_manifest(folder / "manifest.yaml", today=date(2026, 11, 24))
    assert manifest is not None, problems
    return manifest


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


@pytest.mark.parametrize(("cloud", "ending"), [
    ("public", ("database.azure.com", "azure.net", "windows.net", "azurecr.io")),
    ("usgovernment", ("usgovcloudapi.net", "usgovcloudapi.net", "usgovcloudapi.net", "azurecr.us")),
    ("china", ("chinacloudapi.cn", "azure.cn", "chinacloudapi.cn", "azurecr.cn")),
])
def test_names_are_looked_up_in_the_zones_of_the_cloud(tmp_path: Path, cloud: str, ending: tuple[str, ...]) -> None:
    graph = _graph(tmp_path, target="azure", azure={**_AZURE, "cloud": cloud}, access="private")
    for service, end in zip(("postgres", "vault", "namespace", "registry"), ending, strict=True):
        zone = str(graph.steps[Address("resource", f"zone-{service}")].spec["name"])
        assert zone.startswith("privatelink.")
        assert zone.endswith(f".{end}") or zone == f"privatelink.{end}"
        assert graph.steps[Address("resource", f"endpoint-{service}")].spec["zone"] == zone
    site = site_of(environment_of(_manifest(tmp_path)), {})
    assert site.cloud.logs_scope == {"public": "https://api.loganalytics.io/.default",
                                     "usgovernment": "https://api.loganalytics.us/.default",
                                     "china": "https://api.loganalytics.azure.cn/.default"}[cloud]


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
import click, contextlib, io, json, sys
from engine.cli import cli
for line in json.loads(sys.argv[1]):
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            cli.main(line, standalone_mode=False)
    except click.UsageError as problem:
        raise AssertionError((line, str(problem))) from problem
    except (Exception, SystemExit):
        pass  # There is no environment; what it loads is loaded by then.
    found = sorted(m for m in sys.modules if m.partition(".")[0] in ("azure", "msal", "requests"))
    assert not found, (line, found)
"""


def test_local_commands_import_no_azure_package(tmp_path: Path) -> None:
    """Every command, its help and as far as it goes for an environment that is not there."""
    manifest = tmp_path / "dev.yaml"
    manifest.write_text(yaml.safe_dump({**_HEAD, "target": "local"}))
    lines = [["--help"]]
    for name in cli.list_commands(click.Context(cli)):
        for words, command in _commands([name], cli.get_command(click.Context(cli), name)):
            # What serves until it is told to stop is asked for an environment that nobody knows.
            least = ["nobody"] if words == ["ui"] else _least(command, manifest)
            lines += [[*words, "--help"], [*words, *least]]
    assert len(lines) > 80
    assert ["plan", str(manifest)] in lines
    done = subprocess.run([sys.executable, "-c", _LOCAL, json.dumps(lines)], cwd=tmp_path, capture_output=True,
                          text=True, check=False, stdin=subprocess.DEVNULL,
                          env={**os.environ, "TXPLAN_STATE_DIR": str(tmp_path / "state")})
    assert done.returncode == 0, done.stderr[-2000:]


def _commands(words: list[str], command: click.Command | None) -> Iterator[tuple[list[str], click.Command]]:
    """A command, or those below it, with the words that call them."""
    assert command is not None
    if not isinstance(command, click.Group):
        yield words, command
        return
    for name, below in command.commands.items():
        yield from _commands([*words, name], below)


def _least(command: click.Command, manifest: Path) -> list[str]:
    """The fewest arguments that it takes: the manifest first, whatever it is of next."""
    given = []
    for place, parameter in enumerate(p for p in command.params if p.required or p.name == "what"):
        value = str(manifest) if place == 0 else str(manifest.with_name("second.yaml"))
        if isinstance(parameter.type, click.IntRange | click.types.IntParamType):
            value = "1"
        given += [value] if isinstance(parameter, click.Argument) else [parameter.opts[0], value]
    return given
