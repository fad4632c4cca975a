"""A snapshot stands in for the live environment, says so, and never guesses."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from engine.kinds.base import discover
from engine.load import load_manifest
from engine.model.address import Address
from engine.model.diagnostic import Refused
from engine.model.observation import LiveState
from engine.model.plan import Making
from engine.model.step import Environment
from engine.planning.graph import Graph, compile_graph, environment_of
from engine.planning.snapshot import live_of, load_snapshot, save_snapshot, take
from tests.e2e.stage import Stage
from tests.support.live import declared

MAKING = Making(datetime(2026, 1, 2, tzinfo=UTC), timedelta(days=1), "kim", "laptop", "0.1.0")
HUB = Address("resource", "hub-ledger")


def _compiled(tmp_path: Path, **values: str) -> tuple[Graph, Environment]:
    written = {"project": "txlookup", "team": "team4", "owner": "kim", "env": "dev", "ttl": "2099-12-31",
               "target": "local", "profile": "cloud-test", **values}
    path = tmp_path / "m.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in written.items()))
    manifest, found = load_manifest(path, today=date(2026, 1, 1))
    assert manifest is not None, found
    return compile_graph(manifest, discover()), environment_of(manifest)


def _live(graph: Graph) -> LiveState:
    return LiveState({a: declared(s) for a, s in graph.steps.items()})


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    graph, environment = _compiled(tmp_path)
    kept, file = take(environment, graph, _live(graph), MAKING), tmp_path / "s.json"
    save_snapshot(kept, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = live_of(load_snapshot(file), environment, graph, discover())
    assert again.digest == _live(graph).digest


def test_what_it_does_not_hold_is_unreadable(tmp_path: Path) -> None:
    (graph, environment), kinds = _compiled(tmp_path), discover()
    kept = take(environment, graph, _live(graph), MAKING)
    short = replace(kept, steps=tuple(s for s in kept.steps if s.observation.address != HUB))
    assert live_of(short, environment, graph, kinds).by_address[HUB].unreadable
    other, _ = _compiled(tmp_path, hubs="{ledger: {name: another.topic}}")
    found = live_of(kept, environment, other, kinds).by_address
    assert found[HUB].unreadable and not found[Address("resource", "hub-order")].unreadable
    changed, _ = _compiled(tmp_path, hubs="{ledger: {retention: 4d}}")
    assert not live_of(kept, environment, changed, kinds).by_address[HUB].unreadable


def test_another_environment_is_refused(tmp_path: Path) -> None:
    graph, environment = _compiled(tmp_path)
    kept = take(environment, graph, _live(graph), MAKING)
    with pytest.raises(Refused) as caught:
        live_of(kept, _compiled(tmp_path, owner="lee")[1], graph, discover())
    assert [d.code for d in caught.value.diagnostics] == ["other-environment"]


@pytest.mark.parametrize(("text", "code"), [
    ("{", "snapshot-unreadable"), ("[]", "snapshot-version"), ('{"snapshot_version": 9}', "snapshot-version"),
    ('{"snapshot_version": 2}', "snapshot-invalid"),
    ('{"snapshot_version": 2, "steps": [3], "environment": 4}', "snapshot-invalid")])
def test_what_is_no_snapshot_is_refused(tmp_path: Path, text: str, code: str) -> None:
    file = tmp_path / "s.json"
    file.write_text(text)
    with pytest.raises(Refused) as caught:
        load_snapshot(file)
    assert [d.code for d in caught.value.diagnostics] == [code]


def test_the_commands(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {}, tmp_path / "state")
    kept, file = str(tmp_path / "s.json"), str(tmp_path / "p.json")
    assert stage.run("snapshot", str(stage.manifest), "--out", kept).code == 0
    live, offline = stage.plan("--out", file).plan, stage.plan("--offline", kept, "--out", file).plan
    assert offline["snapshot_at"] == json.loads(Path(kept).read_text())["made_at"] and live["snapshot_at"] is None
    assert [(c["address"], c["action"]) for c in offline["changes"]] == [
        (c["address"], c["action"]) for c in live["changes"]]
    for format_ in ("text", "markdown", "html"):
        shown = stage.run("show", file, "--format", format_)
        assert shown.code == 0 and "snapshot of" in shown.out
    applied = stage.run("apply", file, "--json")
    assert (applied.code, applied.codes) == (1, {"offline-plan"})
    assert not stage.home.exists()
    assert stage.run("plan", str(stage.manifest), "--offline", str(tmp_path / "no.json"), "--json").codes == {
        "no-snapshot"}
