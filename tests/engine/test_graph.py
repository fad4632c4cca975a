"""Assembling graphs: order, cycles, references to nothing."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

from engine.kinds.base import discover
from engine.load import load_manifest
from engine.model.address import Address
from engine.model.diagnostic import Refused
from engine.model.step import Step
from engine.planning.graph import assemble, compile_graph

A, B, C = (Address("resource", n) for n in "abc")


def _step(address: Address, *on: Address) -> Step:
    return Step(address, {}, frozenset(on))


def test_a_cycle_is_told_as_its_path() -> None:
    with pytest.raises(Refused) as refused:
        assemble([_step(A, C), _step(B, A), _step(C, B)])
    (found,) = refused.value.diagnostics
    assert found.code == "cycle"
    assert all(str(a) in found.summary for a in (A, B, C))


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(Refused) as refused:
        assemble([_step(A, B), _step(A), _step(C, Address("secret", "nothing"))])
    assert sorted(d.code for d in refused.value.diagnostics) == ["duplicate-step", "unknown-step"]


def _compile(tmp_path: Path, extra: str = "") -> dict[Address, Step]:
    path = tmp_path / "m.yaml"
    path.write_text("project: txlookup\nteam: team4\nowner: kim\nenv: dev\nttl: 2099-12-31\ntarget: local\n"
                    f"profile: cloud-test\n{extra}", encoding="utf-8")
    manifest, found = load_manifest(path, today=date(2026, 1, 1))
    assert manifest is not None, found
    return dict(compile_graph(manifest, discover()).steps)


def test_the_order_of_a_rebuild(tmp_path: Path) -> None:
    """P5: resources → secrets → migrate → cutover → backfill → apps → smoke → gates."""
    steps = _compile(tmp_path)
    after: dict[Address, set[Address]] = {}
    for address in steps:
        stack, seen = [address], set[Address]()
        while stack:
            for dependency in steps[stack.pop()].depends_on - seen:
                seen.add(dependency)
                stack.append(dependency)
        after[address] = seen
    chain = ["resource.vault", "secret.postgres-migrator", "resource.database", "migrate.schema", "cutover.stream",
             "backfill.source", "app.consumer", "smoke.service", "smoke.load", "gate.freshness"]
    for earlier, later in pairwise(chain):
        assert Address.parse(earlier) in after[Address.parse(later)], (earlier, later)


def test_no_source_means_no_backfill(tmp_path: Path) -> None:
    steps = _compile(tmp_path, "backfill: {source: none}\n")
    assert Address("backfill", "source") not in steps
    assert Address("cutover", "stream") in steps[Address("app", "consumer")].depends_on
