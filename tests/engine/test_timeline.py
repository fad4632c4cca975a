"""The timeline of a cutover: its instants in order, and who covers what follows each of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.kinds.records import CutoverRecord
from engine.planning.coverage import Coverage, PartitionCover
from engine.planning.timeline import Timeline, timeline
from engine.providers.base import GroupState
from engine.render.coverage_text import render as as_text
from engine.render.paint import plain
from engine.render.timeline_svg import render as as_svg
from engine.render.timeline_text import render as as_lines

T = datetime(2026, 11, 24, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def covered(at: str | None = None, **values: Any) -> Coverage:
    """T at nine, read a minute later, applied up to five minutes past, now is ten past."""
    record = CutoverRecord(1, 1, "syncing", T, 5 * MINUTE, "bo-sync-dev-kim-v1", {("a", 0): 7},
                           {"at": at, "skew_s": None, "topics": ["a"]})
    run = {"state": "done", "rows_read": 9, "rows_total": 9, "rows_per_s": 3.0, "newest": T - timedelta(days=30)}
    place = PartitionCover("a", 0, 0, 7, 9, 12, True, T + timedelta(days=3))
    seen = Coverage("dev-kim", T + 10 * MINUTE, record, GroupState(record.group, "stable", 1), (place,), run, 0.0,
                    T + MINUTE, T if at is None else T - 5 * MINUTE, T + 5 * MINUTE, T - timedelta(hours=1), 0.0, 0.0,
                    (), ())
    return replace(seen, **values)


def lanes(line: Timeline, what: str) -> set[str]:
    """What covers the time from the mark whose text holds `what`."""
    [found] = [set(m.lanes) for m in line.marks if what in m.what]
    return found


def test_an_automatic_t() -> None:
    line = timeline(covered())
    assert [m.at for m in line.marks] == sorted(m.at for m in line.marks)
    assert line.before == {"backfill"}
    assert lanes(line, "the last row") == {"backfill"}
    assert lanes(line, "the log begins") == {"backfill", "log"}
    assert lanes(line, "T: the start offsets") == {"backfill", "stream", "log"}
    assert lanes(line, "reads its source") == {"stream", "log"}
    assert lanes(line, "applied up to here") == {"waiting", "log"}
    assert lanes(line, "now") == set()


def test_a_fixed_t_overlaps_by_the_skew_on_both_sides() -> None:
    line = timeline(covered(T.isoformat(), read_at=T + 8 * MINUTE))
    assert lanes(line, "T - Δ") == {"backfill", "stream", "log"}
    assert lanes(line, "T + Δ") == {"waiting", "log"}


def test_a_consumer_that_has_read_nothing_and_a_log_that_was_cut() -> None:
    cut = PartitionCover("a", 0, 9, 7, None, 12, False, T + timedelta(days=3))
    seen = covered(stream_at=None, log_from=T + 2 * MINUTE, partitions=(cut,))
    line = timeline(seen)
    assert lanes(line, "T: the start offsets") == {"backfill", "waiting"}
    assert lanes(line, "the log begins") == {"waiting", "log"}
    assert "nothing is dropped yet" not in as_lines(line, plain)
    assert "the log begins after the start" in as_text(seen, plain) and cut.lag == 5


def test_text_and_picture_tell_the_same_instants() -> None:
    line = timeline(covered())
    for text in (as_lines(line, plain), as_svg(line, plain)):
        assert all(f"{m.at:%Y-%m-%dT%H:%M:%SZ}" in text and m.what in text for m in line.marks)
