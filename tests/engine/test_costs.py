"""What a plan says that its environment costs: before it, after it, and of every size that the profiles declare."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.kinds.base import discover
from engine.load import load_manifest
from engine.load.prices import load_prices
from engine.model.address import Address
from engine.model.change import Action, Change
from engine.model.costs import Costs
from engine.model.value import Attributes
from engine.planning.costs import costs
from engine.planning.graph import compile_graph
from tests.support.filekind import plan_of

_PRICES = load_prices()
_BIG = {"type": "postgres", "sku": "Standard_B2s", "storage_gb": 100}
_SMALL = {"sku": "Standard_B1ms", "storage_gb": 32}


def _change(name: str, action: Action, spec: Attributes, before: Attributes | None = None) -> Change:
    return Change(Address("resource", name), action, spec, frozenset(), "", before)


def _costs(*changes: Change, target: str = "azure", **more: Any) -> Costs | None:
    plan = plan_of(*changes)
    return costs(replace(plan, environment=replace(plan.environment, target=target), **more), _PRICES)


@pytest.mark.parametrize(("change", "before", "after"), [
    (_change("p", Action.CREATE, _BIG), 0, 61.14),
    (_change("p", Action.UPDATE, _BIG, _SMALL), 16.09, 61.14),
    (_change("p", Action.NOOP, _BIG, _SMALL), 16.09, 16.09),
    (_change("p", Action.DELETE, _BIG, _SMALL), 16.09, 0),
    (_change("n", Action.CREATE, {"type": "namespace", "sku": "Standard", "units": 3}), 0, 65.70),
], ids=["create", "update", "left out", "delete", "units"])
def test_before_and_after(change: Change, before: float, after: float) -> None:
    found = _costs(change)
    assert found is not None
    assert (found.before, found.after) == (before, after)


def test_a_plan_back_to_nothing_and_one_that_builds_again() -> None:
    gone, again = _change("p", Action.DELETE, _BIG, _SMALL), _change("p", Action.CREATE, _BIG)
    destroyed, recreated = _costs(gone, destroy=True), _costs(gone, destroy=True, rebuild=(again,))
    assert destroyed is not None and recreated is not None
    assert (destroyed.before, destroyed.after) == (16.09, 0)
    assert (recreated.before, recreated.after) == (16.09, 61.14)
    left_out = _costs(_change("p", Action.NOOP, _BIG))
    assert left_out is not None and left_out.items == ()


def test_what_has_no_price_is_told_and_this_machine_costs_nothing() -> None:
    found = _costs(_change("p", Action.CREATE, {**_BIG, "sku": "Standard_X1"}))
    assert found is not None
    assert [i.unknown for i in found.items] == ["sku Standard_X1"]
    assert _costs(_change("p", Action.CREATE, _BIG), target="local") is None


@pytest.mark.parametrize("profile", ["cloud-test", "cloud-secure"])
def test_each_size_of_a_profile_has_a_price(tmp_path: Path, profile: str) -> None:
    (tmp_path / "m.yaml").write_text(yaml.safe_dump({
        "project": "txlookup", "team": "team4", "owner": "eva", "env": "test", "ttl": "2099-12-31", "target": "azure",
        "profile": profile, "azure": {"subscription": "00000000-0000-0000-0000-000000000000", "location": "eastus"}}))
    manifest, problems = load_manifest(tmp_path / "m.yaml", today=date(2026, 11, 24))
    assert manifest is not None, problems
    steps = compile_graph(manifest, discover()).steps
    found = _costs(*(Change(a, Action.CREATE, s.spec, frozenset(), "", None) for a, s in steps.items()))
    assert found is not None
    assert [i.address for i in found.items if i.unknown] == []
    table = _PRICES["azure"]
    priced = {str(steps[i.address].spec.get("type", "app")) for i in found.items}
    private = {"zone", "endpoint", "apphost"} if profile == "cloud-test" else set()
    assert {*table.fixed, *table.by_use} - private == priced
