"""Whose a live environment is, and how long it may stay, by its record, its name and its tags."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.model.step import Environment
from engine.planning.listing import listed, stranger
from engine.providers.base import Known
from engine.providers.local import known, open_target

TAGS = {"env": "dev", "owner": "kim", "project": "txlookup", "ttl": "2026-12-31"}
ENVIRONMENT = Environment("dev-kim", "local", "txlookup", "team4", "kim", "dev", TAGS, "tx", "d")
MADE = datetime(2026, 12, 1, tzinfo=UTC)
KNOWN = Known(ENVIRONMENT, "team4-txlookup-rg-kim-dev", MADE, None)


def test_name_and_tags_have_to_agree() -> None:
    assert stranger(KNOWN) == ""
    assert "team5" in stranger(replace(KNOWN, group="team5-txlookup-rg-kim-dev"))
    for key in ("env", "owner", "project"):
        assert key in stranger(replace(KNOWN, environment=replace(ENVIRONMENT, tags={**TAGS, key: "other"})))


@pytest.mark.parametrize(("now", "left"), [(datetime(2026, 12, 31, 23, 59, tzinfo=UTC), 0),
                                           (datetime(2027, 1, 1, tzinfo=UTC), -1)])
def test_the_last_day_is_a_day(tmp_path: Path, now: datetime, left: int) -> None:
    found = listed(KNOWN, open_target(ENVIRONMENT, tmp_path), now, profile=None, orphans=None)
    assert (found.days_left, found.expired, found.age_s) == (left, left < 0, (now - MADE).total_seconds())


def test_a_record_that_cannot_be_read_is_no_environment(tmp_path: Path) -> None:
    for name, text in (("a", "{"), ("b", "{}"), ("c", "[]"), ("d", '{"environment": 1, "tags": {}}')):
        (tmp_path / "envs" / name).mkdir(parents=True)
        (tmp_path / "envs" / name / "group.json").write_text(text)
    found, nameless = known(tmp_path)
    assert found == [] and [folder.name for folder in nameless] == ["a", "b", "c", "d"]
