"""P11.3: a store that nothing brings back is not destroyed; the same environment with a way back is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.model.plan import Plan
from engine.model.verdict import Outcome, Override

from .judging import codes, evidence, planned

NOTHING: Mapping[str, Any] = {"backfill": {"source": "none"}, "load": {"source": "none"}}
EXTERNAL: Mapping[str, Any] = {"broker": {"engine": "external", "bootstrap": "kafka.test:9093"}}
DATABASE: Mapping[str, Any] = {"backfill": {"source": {"postgres": {
    "host": "source.test", "database": "ledger", "user": "reader", "password": "api-token", "orders_table": "o",
    "ledger_table": "l"}}}}


def held(**rows: int) -> dict[str, Any]:
    return {"migrate.schema": {"notes": {"holds": {"backfill": 0, "stream": 0, "dead_letters": 0, "audited": False,
                                                   **rows}}}}


def events(**counts: int) -> dict[str, Any]:
    return {"cutover.stream": {"notes": {"events": {name.replace("_", "."): n for name, n in counts.items()}}}}


def stores(plan: Plan) -> dict[str, bool]:
    """Store to whether all of it comes back."""
    assert plan.road_back is not None
    return {str(s.address): not s.missing for s in plan.road_back.stores}


def test_rows_that_were_loaded_need_a_source(tmp_path: Path) -> None:
    live = {**held(backfill=10), **events(ledger_entry_upserted=0)}
    plan = planned(tmp_path, live, destroy=True, **NOTHING)
    assert codes(plan) == {"no-way-back"} and stores(plan)["resource.database"] is False
    assert codes(planned(tmp_path, live, destroy=True, **{**NOTHING, "backfill": {}})) == set()
    assert codes(planned(tmp_path, {**held(), **events()}, destroy=True, **NOTHING)) == set(), "nothing is lost"
    assert codes(planned(tmp_path, live, **NOTHING)) == set(), "nothing is destroyed"


@pytest.mark.parametrize(("values", "comes_back"), [
    ({"load": {"source": "none"}}, False), ({}, True), ({"load": {"source": "none"}, **DATABASE}, True)],
    ids=("files", "files and a feed", "a source database"))
def test_rows_that_came_by_stream(tmp_path: Path, values: dict[str, Any], comes_back: bool) -> None:
    plan = planned(tmp_path, {**held(backfill=10, stream=4), **events()}, destroy=True, **values)
    assert stores(plan)["resource.database"] is comes_back
    assert codes(plan) == (set() if comes_back else {"no-way-back"})


def test_a_source_whose_files_are_gone(tmp_path: Path) -> None:
    live = {"backfill.source": {"notes": {"trouble": "the source lacks 1 of its files"}}}
    assert codes(planned(tmp_path, live, destroy=True)) == {"no-way-back"}


def test_tables_that_cannot_be_read(tmp_path: Path) -> None:
    live = {"migrate.schema": {"notes": {"holds": None}}, **events()}
    assert codes(planned(tmp_path, live, destroy=True)) == set(), "going back to nothing is the way out of that"
    assert codes(planned(tmp_path, live, destroy=True, **NOTHING)) == {"no-way-back"}


def test_events_on_a_broker_that_is_not_ours(tmp_path: Path) -> None:
    some = events(ledger_entry_upserted=7, payment_order_upserted=0)
    plan = planned(tmp_path, some, destroy=True, **EXTERNAL)
    assert codes(plan) == {"no-way-back"}
    assert stores(plan) == {"resource.database": True, "resource.vault": True, "resource.hub-ledger": False,
                            "resource.hub-order": True}
    assert codes(planned(tmp_path, some, destroy=True, **EXTERNAL, **DATABASE)) == set()
    others = planned(tmp_path, events(payment_order_upserted=0), destroy=True, **EXTERNAL)
    assert codes(others) == set(), "a hub that others made stays with its events"


def test_a_secret_that_the_vault_alone_has(tmp_path: Path) -> None:
    given = {"secrets": {"api-token": {"from_env": "API_TOKEN"}}}
    live = {"secret.api-token": {"notes": {"trouble": "the environment variable API_TOKEN is not set"}}}
    assert codes(planned(tmp_path, live, destroy=True, **given)) == {"no-way-back"}
    assert codes(planned(tmp_path, destroy=True, **given)) == set()


def test_what_no_rebuild_makes_is_told(tmp_path: Path) -> None:
    plan = planned(tmp_path, held(backfill=10, dead_letters=2, audited=True), destroy=True)
    assert codes(plan) == set() and codes(plan, Outcome.WARN) == {"not-rebuilt"}
    assert "2 broken events" in evidence(plan, "road-back")


def test_rows_beyond_those_of_the_feed_are_told(tmp_path: Path) -> None:
    feed = {"load": {"source": {"synthetic": {"payments": 10}}}}
    plan = planned(tmp_path, {**held(backfill=10, stream=31), **events()}, destroy=True, **feed)
    assert plan.sound and codes(plan, Outcome.WARN) == {"not-rebuilt"} and "1 rows by stream" in evidence(
        plan, "road-back")
    for rows, values in ((30, feed), (31, {**feed, **DATABASE})):
        plan = planned(tmp_path, {**held(backfill=10, stream=rows), **events()}, destroy=True, **values)
        assert codes(plan, Outcome.WARN) == set()


def test_a_hub_that_is_replaced_has_a_road_back_too(tmp_path: Path) -> None:
    fewer = {"resource.hub-ledger": {"attributes": {"partitions": 1}}}
    assert stores(planned(tmp_path, fewer)) == {"resource.hub-ledger": True}
    assert codes(planned(tmp_path, fewer, **NOTHING)) == {"no-way-back"}


def test_somebody_may_answer_for_it(tmp_path: Path) -> None:
    known = (Override("road-back", "made-up data"),)
    plan = planned(tmp_path, held(backfill=10), destroy=True, overrides=known, **NOTHING)
    assert codes(plan) == set() and plan.can_apply()
    assert "made-up data" in evidence(plan, "road-back")
