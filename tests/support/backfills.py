"""Runs the backfill job, and holds its result against its own sum."""

from __future__ import annotations

from typing import Any

from tests.support import jobs
from tests.support.postgres import Database


def backfill(database: Database, what: dict[str, Any], **env: str) -> jobs.Finished:
    return jobs.run("backfill", database.environment("bo_consumer") | env, "BACKFILL_SPEC", what)


def done(database: Database, what: dict[str, Any], **env: str) -> dict[str, Any]:
    finished = backfill(database, what, **env)
    assert finished.code == 0, (finished.lines, finished.log)
    assert finished.last["event"] == "result"
    result = finished.last
    parts = ("applied", "duplicate", "stale", "dlq", "left")
    assert result["read"] == sum(result[name] for name in parts)
    return result
