"""Each rule that needs no server: an environment that breaks it is refused, and the same one mended passes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.kinds import wiring
from engine.kinds.base import unreadable
from engine.model.change import Action
from engine.model.manifest import Reprocess
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.step import Step
from engine.model.verdict import Outcome, Override
from engine.planning import guardrails
from engine.policy.credentials import shape_of
from tests.support.live import declared

from .judging import NOW, codes, evidence, graph_of, planned

SECURED = {"engine": "external", "bootstrap": "kafka.test:9093", "security_protocol": "SASL_SSL",
           "sasl_mechanism": "PLAIN", "username": "us", "password": "api-token"}


def judged(plan: Plan, folder: Path, **values: Any) -> set[str]:
    """What the guardrails block of a plan that somebody has edited, on a live state that is as declared."""
    _, graph = graph_of(folder, **values)
    live = LiveState({a: declared(s) for a, s in graph.steps.items()})
    verdicts = guardrails.judge(guardrails.discover(), plan, live, NOW)
    return {v.diagnostic.code for v in verdicts if v.outcome is Outcome.BLOCK and v.diagnostic is not None}


def edited(plan: Plan, address: str, **fields: Any) -> Plan:
    return replace(plan, changes=tuple(replace(c, **fields) if str(c.address) == address else c for c in plan.changes))


def spec(plan: Plan, address: str, **values: Any) -> dict[str, Any]:
    return {**next(c.spec for c in plan.changes if str(c.address) == address), **values}


def test_names_that_do_not_fit(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert judged(plan, tmp_path) == set()
    assert "bad-name" in judged(replace(plan, environment=replace(plan.environment, owner="k" * 60)), tmp_path)
    assert judged(edited(plan, "resource.postgres", spec=spec(plan, "resource.postgres", name="mine")), tmp_path) == {
        "bad-name"}


def test_what_is_tagged_as_somebody_elses_is_not_taken_over(tmp_path: Path) -> None:
    theirs = {"env": "dev", "owner": "lee", "project": "txlookup", "ttl": "2026-12-31"}
    assert codes(planned(tmp_path, {"resource.postgres": {"attributes": {"tags": theirs}}})) == {"bad-tags"}
    later = {**theirs, "owner": "kim", "ttl": "2026-02-01"}
    assert codes(planned(tmp_path, {"resource.postgres": {"attributes": {"tags": later}}})) == set()
    plan = planned(tmp_path)
    assert judged(edited(plan, "resource.vault", spec=spec(plan, "resource.vault", tags={"env": "dev"})), tmp_path) == {
        "bad-tags"}


def test_a_namespace_that_others_read_from(tmp_path: Path) -> None:
    def groups(*names: str) -> dict[str, Any]:
        return {"cutover.stream": {"notes": {"groups": list(names)}}}

    assert codes(planned(tmp_path, groups("bo-sync-dev-kim-v1", "bo-sync-dev-lee-v1"))) == {"shared-namespace"}
    assert codes(planned(tmp_path, groups("bo-sync-dev-kim-v1", "connect-cluster"))) == set()
    assert codes(planned(tmp_path, groups("bo-sync-dev-lee-v1"), destroy=True)) == set(), "one may always leave"


def test_a_secret_as_text(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    for parameters, found in (({"primary_conninfo": "host=h password=hunter2"}, {"secret-as-text"}),
                              ({"x.api_key": "hunter2"}, {"secret-as-text"}), ({"work_mem": "8MB"}, set())):
        seen = edited(plan, "resource.postgres", spec=spec(plan, "resource.postgres", parameters=parameters))
        assert judged(seen, tmp_path) == found
        said = guardrails.judge(guardrails.discover(), seen, LiveState({}), NOW)
        assert "hunter2" not in repr(said)


@pytest.mark.parametrize(("text", "is_one"), [
    ("Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey=abc=", True), ("AccountKey=abc", True),
    ("postgresql://me:word@host/db", True), ("-----BEGIN RSA PRIVATE KEY-----", True),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc", True), ("ghp_" + "a" * 36, True),
    ("https://host:443/path", False), ("kafka.test:9093", False), ("sample:backfill/orders-2017-*.parquet", False),
    ("Standard_B1ms", False), ("postgres-admin", False), ("password_encryption", False)])
def test_what_looks_like_a_credential(text: str, is_one: bool) -> None:
    assert bool(shape_of(text)) is is_one


def test_what_cannot_change_in_place_is_never_updated(tmp_path: Path) -> None:
    three = {"hubs": {"ledger": {"partitions": 3}}}
    two = {"resource.hub-ledger": {"attributes": {"partitions": 2}}}
    plan = planned(tmp_path, two, **three)
    assert next(c.action for c in plan.changes if str(c.address) == "resource.hub-ledger") is Action.REPLACE
    assert codes(plan) == set()
    silent = edited(plan, "resource.hub-ledger", action=Action.UPDATE)
    assert judged(silent, tmp_path) == {"immutable-value"}, "the live hub has two, or whatever it has by now"
    assert judged(silent, tmp_path, **three) == set(), "it has three by now"


def test_the_secure_environment_is_made_beside_the_public_one(tmp_path: Path) -> None:
    plain = {"resource.namespace": {"attributes": {"security_protocol": "PLAINTEXT"}}}
    accepted = (Override("blast-radius", "looked at"),)
    assert codes(planned(tmp_path, plain, broker=SECURED)) == {"hardened-in-place"}
    local = {"resource.namespace": {"attributes": {"engine": "noida", "security_protocol": None}}}
    assert codes(planned(tmp_path, local, broker=SECURED, overrides=accepted)) == {"hardened-in-place"}
    assert codes(planned(tmp_path, broker=SECURED)) == set(), "it was secure from its first day"
    assert codes(planned(tmp_path, broker=SECURED, owner="lee", built=False)) == set(), "built beside"


def test_a_group_that_was_consumed_from_is_not_used_for_another_load(tmp_path: Path) -> None:
    unloaded: dict[str, Any] = {"backfill.source": {"exists": False}}
    assert codes(planned(tmp_path, unloaded)) == {"group-reused"}
    answered = (Override("new-consumer-group", "the source was mended"),)
    assert codes(planned(tmp_path, unloaded, overrides=answered)) == {"group-reused"}, "--reprocess alone asks for it"
    assert codes(planned(tmp_path, unloaded, reprocess=Reprocess.parse("2026-01-01T00:00:00Z"))) == set()
    recorded = {**unloaded, "cutover.stream": {"notes": {"state": "recorded"}}}
    assert codes(planned(tmp_path, recorded)) == set(), "nobody has consumed yet: the first load goes on"
    otherwise = {**unloaded, "cutover.stream": {"attributes": {"requested": {}}}}
    assert codes(planned(tmp_path, otherwise)) == set(), "another cutover takes a new group"
    unread = planned(tmp_path, seen={wiring.CUTOVER: unreadable(wiring.CUTOVER, "the broker does not answer")})
    assert codes(unread) == set()
    strange = {"cutover.stream": {"attributes": {"group": "bo-sync-dev-lee-v1"}}}
    assert codes(planned(tmp_path, strange)) == {"group-reused"}


def test_the_ttl_and_the_retention(tmp_path: Path) -> None:
    assert codes(planned(tmp_path, ttl="2026-01-01")) == {"ttl-past"}
    assert codes(planned(tmp_path, ttl="2026-01-03"), Outcome.WARN) == {"ttl-near"}
    assert codes(planned(tmp_path, ttl="2026-02-01"), Outcome.WARN) == set()
    assert codes(planned(tmp_path, built=False, cutover={"at": "2025-12-01T00:00:00Z"})) == {"retention"}
    assert codes(planned(tmp_path, built=False, cutover={"at": "2026-01-01T12:00:00Z"})) == set()


def test_the_remaining_backfill_counts_by_the_rate_that_was_measured(tmp_path: Path) -> None:
    unfinished = {"cutover.stream": {"notes": {"state": "backfilling", "age_s": 3600.0, "remaining_s": 3600.0}},
                  "backfill.source": {"attributes": {"state": "running"},
                                      "notes": {"rows_total": 1_000_000, "rows_read": 10, "rows_per_s": 100}}}
    short = {"hubs": {k: {"retention": "14h"} for k in ("ledger", "order")}}
    assert codes(planned(tmp_path, unfinished)) == set()
    plan = planned(tmp_path, unfinished, **short)
    # 1 h old, 1 h to read, 12 h of buffer and Δ: it does not fit, and nor does a new one, which reads for 2 h 47 min.
    assert codes(plan) == {"retention"} and "2 h 46 min" in evidence(plan, "retention")
    assert next(c.action for c in plan.changes if c.address == wiring.CUTOVER) is Action.RUN
    quick = {**unfinished, "backfill.source": {**unfinished["backfill.source"], "notes": {
        "rows_total": 1_000_000, "rows_read": 10, "rows_per_s": 1000}}}
    anew = planned(tmp_path, quick, **short)
    assert codes(anew) == set(), "a new cutover has the time that the old one had not"
    assert next(c.action for c in anew.changes if c.address == wiring.CUTOVER) is Action.RUN
    read_from = {"cutover.stream": {"notes": {**unfinished["cutover.stream"]["notes"], "state": "syncing"}}}
    assert next(c.action for c in planned(tmp_path, read_from, **short).changes
                if c.address == wiring.CUTOVER) is Action.NOOP


def test_a_fixed_t_that_has_not_come_or_that_the_log_has_lost(tmp_path: Path) -> None:
    at = {"cutover": {"at": "2026-01-02T00:10:00Z"}}
    assert codes(planned(tmp_path, built=False, **at)) == {"cutover-in-future"}
    assert codes(planned(tmp_path, built=False, cutover={"at": "2026-01-02T00:04:00Z"})) == set(), "clocks differ"
    past = {"cutover": {"at": "2026-01-01T23:00:00Z"}}
    for lost, found in ((["ledger.entry.upserted/0 begins at offset 7"], {"log-start"}), ([], set())):
        live = {"cutover.stream": {"attributes": {"requested": {}}, "notes": {"lost": lost}}}
        assert codes(planned(tmp_path, live, **past)) == found


def test_a_group_is_set_back_only_to_what_the_log_holds_and_never_forward(tmp_path: Path) -> None:
    def asked(offset: int, **values: Any) -> Plan:
        return planned(tmp_path, reprocess=Reprocess.parse(f"a:0={offset}"), **values)

    assert codes(asked(10)) == set()
    assert codes(asked(3)) == {"log-start"}, "the log begins at 5"
    assert codes(asked(21)) == {"reprocess-skips"}, "the group is at 20"
    assert codes(planned(tmp_path, reprocess=Reprocess.parse("a:1=10"))) == {"reprocess-unknown"}
    assert codes(planned(tmp_path, reprocess=Reprocess.parse("2027-01-01T00:00:00Z"))) == {"reprocess-future"}
    reads_nothing = {"reprocess.offsets": {"attributes": {"from": {"a": {"0": 20}}}}}
    later, sooner = (Reprocess.parse(f"{at}T00:00:00Z") for at in ("2027-01-01", "2026-01-01"))
    assert codes(planned(tmp_path, reads_nothing, reprocess=later)) == {"reprocess-future"}
    assert codes(planned(tmp_path, reads_nothing, reprocess=sooner), Outcome.WARN) == {"reprocess-nothing"}
    plan = asked(10)
    part = edited(plan, "app.consumer", action=Action.NOOP)
    again = guardrails.judge(guardrails.discover(), part, LiveState({
        wiring.REPROCESS: declared(Step(wiring.REPROCESS, spec(plan, "reprocess.offsets")))}), NOW)
    assert "reprocess-half" in {v.diagnostic.code for v in again if v.diagnostic is not None}


@pytest.mark.parametrize("text", ["yesterday", "2026-01-01T00:00:00", "a:0=", "a=1", "a:0=-1", "a:0=1,a:0=2", "a:x=1"])
def test_what_names_no_place_in_the_log(text: str) -> None:
    with pytest.raises(ValueError):
        Reprocess.parse(text)


def test_a_large_blast_radius(tmp_path: Path) -> None:
    live = {"resource.namespace": {"attributes": {"engine": "tansu"}}}
    assert codes(planned(tmp_path, live)) == {"blast-radius"}
    assert codes(planned(tmp_path, live, max_destroy={"count": 3, "share": 0.5})) == set()
    assert codes(planned(tmp_path, live, overrides=(Override("blast-radius", "known"),))) == set()
    assert codes(planned(tmp_path, destroy=True)) == set()


def test_an_override_of_what_nobody_may_override_changes_nothing(tmp_path: Path) -> None:
    assert codes(planned(tmp_path, ttl="2026-01-01", overrides=(Override("ttl", "please"),))) == {"ttl-past"}
