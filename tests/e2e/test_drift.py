"""What somebody changes outside is told, with both values, apart from what the manifest changes; apply mends it."""

from __future__ import annotations

import json
from typing import Any

from engine.providers.base import Context
from tests.e2e.stage import Stage


def _spec(stage: Stage) -> dict[str, Any]:
    return dict(stage.plan().change("resource.hub-ledger")["spec"])


def _set_retention(stage: Stage, hours: float) -> None:
    """As another tool would: the topic's setting on the live broker, past txplan's plan and apply."""
    spec = _spec(stage)
    changed = {key: value for key, value in spec.items() if key != "type"} | {"retention_hours": hours}
    stage._target().resources["hub"].apply(spec["name"], changed, Context(lambda _: None, lambda: False))


def _drift(stage: Stage) -> tuple[int, list[dict[str, Any]], list[str]]:
    result = stage.run("drift", str(stage.manifest), "--json")
    [checked] = result.event("DriftChecked")
    return result.code, result.event("Drift"), checked["unreadable"]


def test_drift_is_told_apart_and_mended(up: Stage) -> None:
    assert _drift(up) == (0, [], [])
    before = _spec(up)["retention_hours"]
    # What other tests set of the hub stays: this one is about the retention alone.
    ledger = up.values.get("hubs", {}).get("ledger", {})
    up.write(hubs={"ledger": {**ledger, "retention": "5d"}})
    assert _drift(up) == (0, [], []), "what the manifest changes is no drift"
    _set_retention(up, 48.0)
    code, [found], _ = _drift(up)
    assert code == 2
    assert (found["address"], found["path"], found["applied"], found["live"]) == (
        "resource.hub-ledger", "retention_hours", before, 48.0)
    change = up.plan().change("resource.hub-ledger")
    assert [(d["before"], d["after"]) for d in change["drift"]] == [(before, 48.0)]
    assert [(d["before"], d["after"]) for d in change["diffs"]] == [(48.0, 120.0)]
    kept = up.folder / "s.json"
    assert up.run("snapshot", str(up.manifest), "--out", str(kept)).code == 0
    assert up.plan("--offline", str(kept)).change("resource.hub-ledger")["drift"] == change["drift"]
    applied = up.apply()
    assert applied.code == 0, applied.failures
    assert _drift(up) == (0, [], [])
    assert not [p for p in kept.read_text().split('"') if p in up.secrets().values()], "a snapshot holds no secret"
    assert json.loads(kept.read_text())["environment"]["name"] == up.name
