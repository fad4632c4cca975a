"""P3.2: a secure environment is built from green, fresh evidence of the same code and schema, and of nothing less."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.kinds import wiring
from engine.kinds.base import discover
from engine.model.diagnostic import Refused
from engine.model.evidence import Evidence, Promotion
from engine.model.observation import LiveState, Observation
from engine.model.plan import Making
from engine.model.verdict import Outcome, Override
from engine.planning.evidence import gather, green, moved
from engine.planning.evidence_file import all_evidence, evidence_id, load_evidence, save_evidence
from tests.guardrails.judging import NOW, codes, evidence, graph_of, planned
from tests.support.live import declared

SECURE = {"env": "stage", "access": "private"}


@pytest.fixture
def record(tmp_path: Path) -> Evidence:
    """What a green apply of dev-kim leaves."""
    plan = planned(tmp_path, built=False)
    return gather(plan, "p1", "r1", _live(tmp_path), discover(), _making(NOW))


def _live(folder: Path) -> LiveState:
    _, graph = graph_of(folder)
    return LiveState({a: _proven(declared(s)) for a, s in graph.steps.items()})


def _proven(seen: Observation) -> Observation:
    if seen.address.kind not in ("smoke", "gate"):
        return seen
    return replace(seen, notes={"at": (NOW - timedelta(minutes=5)).isoformat(), "detail": {"says": "measured"}})


def _making(now: Any) -> Making:
    return Making(now, timedelta(days=1), "kim", "laptop", "0.1.0")


def _promoted(folder: Path, record: Evidence, **values: Any) -> Any:
    return planned(folder, built=False, promotion=Promotion(evidence_id(record), record, 3600.0),
                   **{**SECURE, **values})


def test_green_evidence_of_the_same_code_is_built_on(tmp_path: Path, record: Evidence) -> None:
    plan = _promoted(tmp_path, record)
    assert plan.sound and "dev-kim" in evidence(plan, "from-evidence")


def _first(record: Evidence, **changes: Any) -> Evidence:
    return replace(record, proofs=(replace(record.proofs[0], **changes), *record.proofs[1:]))


@pytest.mark.parametrize(("change", "code"), [
    (lambda r: _first(r, outcome="fail"), "evidence-not-green"),
    (lambda r: _first(r, outcome="no-data"), "evidence-not-green"),
    (lambda r: _first(r, current=False), "evidence-not-green"),
    (lambda r: replace(r, proofs=r.proofs[1:]), "evidence-partial"),
    (lambda r: replace(r, proofs=(), due=()), "evidence-partial"),
    (lambda r: _first(r, at=NOW - timedelta(hours=2)), "evidence-stale"),
    (lambda r: replace(r, schema_drift=("column extra",)), "evidence-debt"),
    (lambda r: replace(r, code="0" * 64), "other-code"),
    (lambda r: replace(r, landed=r.landed[:1]), "other-schema"),
    (lambda r: replace(r, landed=({**r.landed[0], "digest": "0" * 64}, *r.landed[1:])), "other-schema"),
    (lambda r: replace(r, overrides=(Override("expand-then-contract", "in a hurry"),)), "override-not-promoted"),
])
def test_what_the_evidence_does_not_bear_is_refused(
        tmp_path: Path, record: Evidence, change: Callable[[Evidence], Evidence], code: str) -> None:
    assert codes(_promoted(tmp_path, change(record))) == {code}


@pytest.mark.parametrize("guardrail", ["blast-radius", "road-back"])
def test_an_override_that_only_destroyed_more_promotes(tmp_path: Path, record: Evidence, guardrail: str) -> None:
    assert _promoted(tmp_path, replace(record, overrides=(Override(guardrail, "a new broker"),))).sound


def test_the_new_environment_is_stricter_and_another_one(tmp_path: Path, record: Evidence) -> None:
    assert codes(_promoted(tmp_path, record, access="public")) == {"not-stricter"}
    assert codes(_promoted(tmp_path, record, env="dev")) == {"same-environment"}
    assert codes(planned(tmp_path, built=False, **SECURE), Outcome.BLOCK) == set()


def test_what_moved_since_is_named(tmp_path: Path, record: Evidence) -> None:
    live = _live(tmp_path)
    assert moved(record, live) == []
    newer = replace(live.by_address[wiring.API], attributes={"revision": "other", "replicas": 1})
    gone = Observation(wiring.CUTOVER, False)
    found = moved(record, LiveState({**live.by_address, wiring.API: newer, wiring.CUTOVER: gone}))
    assert [(d.code, d.address) for d in found] == [
        ("evidence-outdated", wiring.API), ("evidence-outdated", wiring.CUTOVER)]


def test_an_environment_that_is_not_green_leaves_no_green_record(tmp_path: Path) -> None:
    live = _live(tmp_path)
    failed = replace(live.by_address[wiring.LOAD], attributes={"outcome": "fail", "current": True})
    record = gather(planned(tmp_path, built=False), "p", "r", LiveState({**live.by_address, wiring.LOAD: failed}),
                    discover(), _making(NOW))
    assert [d.code for d in green(record)] == ["evidence-not-green"]


def test_a_record_is_named_by_its_content(tmp_path: Path, record: Evidence) -> None:
    path = save_evidence(record, tmp_path / "kept")
    assert load_evidence(path) == record and path.stem == evidence_id(record)
    assert path.stat().st_mode & 0o077 == 0
    older = save_evidence(replace(record, made_at=NOW - timedelta(days=1)), tmp_path / "kept")
    assert [p for p, _ in all_evidence(tmp_path / "kept")] == [older, path]


@pytest.mark.parametrize(("edit", "code"), [
    (lambda d: d.update(head="0001"), "evidence-edited"),
    (lambda d: d["proofs"].pop(), "evidence-edited"),
    (lambda d: d.pop("overrides"), "evidence-partial"),
    (lambda d: d.update(evidence_version=9), "evidence-version"),
])
def test_an_edited_record_is_refused(
        tmp_path: Path, record: Evidence, edit: Callable[[dict[str, Any]], Any], code: str) -> None:
    path = save_evidence(record, tmp_path)
    data = json.loads(path.read_text(encoding="utf-8"))
    edit(data)
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(Refused) as refused:
        load_evidence(path)
    assert [d.code for d in refused.value.diagnostics] == [code]


def test_no_record_and_garbage_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "garbage.json").write_bytes(b"\x00{")
    for name, code in (("none.json", "no-evidence"), ("garbage.json", "evidence-unreadable")):
        with pytest.raises(Refused) as refused:
            load_evidence(tmp_path / name)
        assert refused.value.diagnostics[0].code == code
