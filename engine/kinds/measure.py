"""What the gates need to know of a window of scraped metrics, as one small JSON value.

Owns the names of the service's metrics. A key is absent where there was no data, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import inf
from typing import Any

from engine.kinds.window import histogram_quantile, increases, latest, quantile, worst_by_time
from engine.providers.base import Sample

REQUESTS = "bo_api_request_seconds"
UP = "up"
"""Made by the scraper, as Prometheus does: 1 where an app answered, 0 where it was silent."""
CONSUMER = "consumer"
STORE_LAG = "bo_data_lag_seconds"
FRESHNESS = "bo_stream_freshness_seconds"
RECORDS = "bo_stream_records_total"
BATCH = "bo_stream_batch_seconds"
PAIRS = "bo_pairs"
DLQ = "bo_dlq_recent_rows"
COUNTED = "bo_counted_timestamp_seconds"
LAG = "bo_stream_lag_records"

# Two points make no trend: a freshness of fewer scrapes than this is no data.
_LEAST_SCRAPES = 3


def summarise(samples: Sequence[Sample], *, error_window_s: float = inf, unanswered: int = 0) -> dict[str, Any]:
    """{"api": {p95_s, requests}, "errors": {share, requests, errors}, "freshness": {p95_s, scrapes},
    "lag": {p95, scrapes}, "dlq": {new}, "pairs": {complete, total}, "records": {outcome: gained}}; what was not
    measured is absent.

    Errors are those of the last `error_window_s` seconds; look-ups that nobody answered, which no server could count,
    are errors too.
    """
    found: dict[str, Any] = {}
    answered = histogram_quantile(0.95, samples, REQUESTS, _look_up)
    if answered is not None:
        found["api"] = {"p95_s": round(answered[0], 6), "requests": int(answered[1])}
    asked = increases(_last(samples, error_window_s), f"{REQUESTS}_count", _look_up)
    if total := sum(asked.values()) + unanswered:
        wrong = sum(gained for labels, gained in asked.items() if _is_error(dict(labels)["status"])) + unanswered
        found["errors"] = {"share": wrong / total, "requests": int(total), "errors": int(wrong)}
    fresh = _freshness(samples)
    p95 = quantile(0.95, fresh) if len(fresh) >= _LEAST_SCRAPES else None
    if p95 is not None and p95 < inf:
        found["freshness"] = {"p95_s": round(p95, 3), "scrapes": len(fresh)}
    behind = _lags(samples)
    p95 = quantile(0.95, behind) if len(behind) >= _LEAST_SCRAPES else None
    if p95 is not None and p95 < inf:
        found["lag"] = {"p95": int(p95), "scrapes": len(behind)}
    dead = latest(samples, DLQ, "origin")
    if dead:
        found["dlq"] = {"new": int(sum(dead.values()))}
    pairs = latest(samples, PAIRS, "status")
    if total_pairs := sum(pairs.values()):
        found["pairs"] = {"complete": int(pairs.get("COMPLETE", 0)), "total": int(total_pairs)}
    outcomes: dict[str, int] = {}
    for labels, gained in increases(samples, RECORDS).items():
        outcome = dict(labels).get("outcome", "")
        outcomes[outcome] = outcomes.get(outcome, 0) + int(gained)
    if outcomes:
        found["records"] = outcomes
    return found


def _freshness(samples: Sequence[Sample]) -> list[float]:
    """The worst freshness at each scrape: what the consumer says, and what the API reads from the store, which goes on
    growing when the consumer stands still. A scrape at which the consumer was silent is infinitely stale."""
    told = {s.at for s in samples if s.name == FRESHNESS}
    silent = [Sample(CONSUMER, 0, s.at, FRESHNESS, {}, inf) for s in samples
              if s.name == UP and s.app == CONSUMER and s.at not in told]
    return worst_by_time([*silent, *(Sample(s.app, s.replica, s.at, FRESHNESS, s.labels, s.value) for s in samples
                                     if s.name in (FRESHNESS, STORE_LAG))], FRESHNESS)


def _lags(samples: Sequence[Sample]) -> list[float]:
    """Events behind at each scrape, over all partitions; without end where the consumer did not say of all."""
    asked = {s.at for s in samples if s.name == LAG or (s.name == UP and s.app == CONSUMER)}
    total = _lag_by_time(samples)
    return [total.get(at, inf) for at in sorted(asked)]


def _lag_by_time(samples: Sequence[Sample]) -> dict[datetime, float]:
    """Events behind at each scrape that told of every partition that any scrape told of: where one of two replicas
    stands still, the other one's partitions alone would look like all of them."""
    told: dict[datetime, dict[tuple[str, str], float]] = {}
    for sample in samples:
        if sample.name == LAG:
            place = sample.labels.get("topic", ""), sample.labels.get("partition", "")
            of_scrape = told.setdefault(sample.at, {})
            of_scrape[place] = max(of_scrape.get(place, 0.0), sample.value)
    places = {place for of_scrape in told.values() for place in of_scrape}
    return {at: sum(of_scrape.values()) for at, of_scrape in told.items() if of_scrape.keys() == places}


def _last(samples: Sequence[Sample], seconds: float) -> list[Sample]:
    end = max((s.at for s in samples), default=None)
    return [s for s in samples if end is not None and (end - s.at).total_seconds() <= seconds]


def lag_records(samples: Sequence[Sample]) -> float | None:
    """Events behind, at the newest scrape; None where that one does not say of all partitions."""
    newest = max((s.at for s in samples), default=None)
    return None if newest is None else _lag_by_time(samples).get(newest)


def stream_pace(samples: Sequence[Sample]) -> float | None:
    """Records a second that the consumer's replicas write together while they write, as they measured since they
    started; None before they wrote."""
    rates: list[float] = []
    for replica in sorted({s.replica for s in samples}):
        own = [s for s in samples if s.replica == replica]
        spent = sum(s.value for s in own if s.name == f"{BATCH}_sum")
        # A conflict is counted beside what became of the record.
        wrote = sum(s.value for s in own if s.name == RECORDS and s.labels.get("outcome") != "conflict")
        if spent > 0 and wrote > 0:
            rates.append(wrote / spent)
    return sum(rates) if rates else None


def counted_since(samples: Sequence[Sample], at: float) -> bool:
    """Whether pairs and dead letters were counted at or after `at` (seconds since 1970)."""
    return max((s.value for s in samples if s.name == COUNTED), default=0.0) >= at


def _look_up(labels: Mapping[str, str]) -> bool:
    return labels.get("route", "").startswith("/admin/")


def _is_error(status: str) -> bool:
    """5xx, and 4xx but for 404: an unknown id is an answer (P8.3)."""
    return status.startswith("5") or (status.startswith("4") and status != "404")


def summary_now(samples: Sequence[Sample]) -> dict[str, float]:
    """What the gauges say at this moment: `lag_records`, `freshness_s`, `complete_pairs`; absent without data."""
    found: dict[str, float] = {}
    lag = [s.value for s in samples if s.name == LAG]
    if lag:
        found["lag_records"] = sum(lag)
    fresh = [s.value for s in samples if s.name == FRESHNESS]
    if fresh:
        found["freshness_s"] = max(fresh)
    pairs = latest(samples, PAIRS, "status")
    if pairs:
        found["complete_pairs"] = pairs.get("COMPLETE", 0.0)
    return found
