"""What the gates read from a window: Prometheus' arithmetic, and no data that never looks like a good value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram

from engine.kinds.gate import GATES
from engine.kinds.measure import lag_records, summarise
from engine.kinds.window import histogram_quantile, increases, quantile
from engine.providers.base import Sample

START = datetime(2026, 1, 1, tzinfo=UTC)


def _scrape(registry: CollectorRegistry, second: int, app: str = "api") -> list[Sample]:
    return [Sample(app, 0, START + timedelta(seconds=second), s.name, s.labels, s.value)
            for family in registry.collect() for s in family.samples]


def _api(*requests: tuple[float, str]) -> list[Sample]:
    """A window in which the API, already up, answered `requests` as (seconds, status)."""
    registry = CollectorRegistry()
    histogram = Histogram("bo_api_request_seconds", "x", ["route", "method", "status"], registry=registry)
    histogram.labels("/admin/tx/{tx_id}", "GET", "200").observe(30)  # Long before the window.
    samples = _scrape(registry, 0)
    for took, status in requests:
        histogram.labels("/admin/tx/{tx_id}", "GET", status).observe(took)
    return samples + _scrape(registry, 1)


def test_the_window_forgets_what_was_before_it() -> None:
    measured = summarise(_api(*[(0.01, "200")] * 99, (4.0, "200")))
    assert measured["api"]["requests"] == 100
    assert measured["api"]["p95_s"] <= 0.01


def test_a_series_born_in_the_window_counts_from_zero() -> None:
    assert summarise(_api((0.01, "500"), (0.01, "200")))["errors"] == {"share": 0.5, "requests": 2, "errors": 1}


@pytest.mark.parametrize(("status", "wrong"), [("404", 0), ("401", 1), ("400", 1), ("503", 1), ("200", 0)])
def test_which_answers_are_errors(status: str, wrong: int) -> None:
    assert summarise(_api((0.01, status)))["errors"]["errors"] == wrong


def test_a_restarted_counter_counts_from_zero() -> None:
    samples = []
    for second, value in enumerate((100.0, 130.0, 5.0, 8.0)):
        samples.append(Sample("consumer", 0, START + timedelta(seconds=second), "x_total", {}, value))
    assert increases(samples, "x_total") == {(): 38.0}


@given(st.lists(st.floats(0.0005, 9.0), min_size=1, max_size=300))
def test_the_quantile_lies_in_the_right_bucket(took: list[float]) -> None:
    registry = CollectorRegistry()
    histogram = Histogram("h", "x", registry=registry)
    samples = _scrape(registry, 0)
    for value in took:
        histogram.observe(value)
    found = histogram_quantile(0.95, samples + _scrape(registry, 1), "h")
    assert found is not None
    exact = quantile(0.95, took)
    bounds = [0.0, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0]
    low = max(b for b in bounds if b < exact)
    high = min(b for b in bounds if b >= exact)
    assert low <= found[0] <= high
    assert found[1] == len(took)


def test_no_samples_are_no_data_for_every_gate() -> None:
    measured = summarise([])
    assert {name: gate.value(measured) for name, gate in GATES.items()} == dict.fromkeys(GATES)


def test_no_requests_are_no_data() -> None:
    measured = summarise(_api())
    assert "api" not in measured
    assert "errors" not in measured


def test_two_scrapes_make_no_freshness() -> None:
    scrapes = [Sample("consumer", 0, START + timedelta(seconds=n), "bo_stream_freshness_seconds", {"topic": "t"}, 0.1)
               for n in range(3)]
    assert "freshness" not in summarise(scrapes[:2])
    assert summarise(scrapes)["freshness"] == {"p95_s": 0.1, "scrapes": 3}


def test_the_worst_partition_is_the_freshness() -> None:
    scrapes = [Sample("consumer", 0, START + timedelta(seconds=n), "bo_stream_freshness_seconds",
                      {"partition": str(p)}, float(p * 7)) for n in range(3) for p in range(2)]
    assert summarise(scrapes)["freshness"]["p95_s"] == 7.0


def test_pairs_are_those_of_the_last_scrape() -> None:
    scrapes = [Sample("api", 0, START + timedelta(seconds=n), "bo_pairs", {"status": status}, value)
               for n, status, value in ((0, "COMPLETE", 1.0), (1, "COMPLETE", 8.0), (1, "MISMATCH", 2.0))]
    assert summarise(scrapes)["pairs"] == {"complete": 8, "total": 10}


def test_counters_of_replicas_add_up() -> None:
    registry = CollectorRegistry()
    Counter("x", "x", registry=registry).inc(3)
    one = _scrape(registry, 0) + _scrape(registry, 1)
    two = [Sample(s.app, 1, s.at, s.name, s.labels, s.value + s.at.second) for s in one]
    assert increases(one + two, "x_total") == {(): 1.0}


def _told(second: int, name: str, value: float, app: str = "consumer") -> Sample:
    return Sample(app, 0, START + timedelta(seconds=second), name, {}, value)


def test_a_consumer_that_dies_is_no_data_however_good_it_was() -> None:
    scrapes = []
    for second in range(30):
        alive = second < 4
        scrapes.append(_told(second, "up", float(alive)))
        scrapes += [_told(second, "bo_stream_freshness_seconds", 0.2),
                    _told(second, "bo_stream_lag_records", 0.0)] if alive else []
    assert "freshness" not in summarise(scrapes)
    assert lag_records(scrapes) is None


def test_one_missed_scrape_of_thirty_is_borne() -> None:
    scrapes = [_told(second, "up", float(second != 7)) for second in range(30)]
    scrapes += [_told(second, "bo_stream_freshness_seconds", 0.2) for second in range(30) if second != 7]
    assert summarise(scrapes)["freshness"]["p95_s"] == 0.2


def test_a_consumer_that_stands_still_is_seen_in_the_store() -> None:
    scrapes = [_told(second, name, value, app) for second in range(10) for name, value, app in (
        ("up", 1.0, "consumer"), ("bo_stream_freshness_seconds", 0.1, "consumer"),
        ("bo_data_lag_seconds", float(second * 3), "api"))]
    assert summarise(scrapes)["freshness"]["p95_s"] == 27.0


def test_what_nobody_answered_is_an_error() -> None:
    measured = summarise(_api(*[(0.01, "200")] * 8), unanswered=2)
    assert measured["errors"] == {"share": 0.2, "requests": 10, "errors": 2}
    assert summarise([], unanswered=5)["errors"]["share"] == 1.0


def test_a_lag_that_nobody_told_is_no_good_lag() -> None:
    scrapes = [_told(second, name, value) for second in range(10) for name, value in (
        ("up", 1.0), ("bo_stream_lag_records", float(second * 100)))]
    assert summarise(scrapes)["lag"] == {"p95": 900, "scrapes": 10}
    silent = [s for s in scrapes if s.name == "up" or s.at.second < 5]
    assert "lag" not in summarise(silent)


def test_one_replica_that_falls_silent_leaves_no_good_lag() -> None:
    scrapes = [Sample("consumer", replica, START + timedelta(seconds=second), "bo_stream_lag_records",
                      {"topic": "t", "partition": str(replica)}, 0.0)
               for second in range(10) for replica in (0, 1) if replica == 0 or second < 5]
    scrapes += [_told(second, "up", 1.0) for second in range(10)]
    assert "lag" not in summarise(scrapes)
    assert lag_records(scrapes) is None
    assert lag_records([s for s in scrapes if s.at.second < 5]) == 0


def test_a_complete_pair_that_does_not_cancel_counts_as_none() -> None:
    measured = {"pairs": {"complete": 10, "total": 10}}
    assert GATES["pairs"].value(measured) == 100.0
    assert GATES["pairs"].value({**measured, "unbalanced": 1}) == 90.0
