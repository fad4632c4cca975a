"""The metrics both processes share, and how a scrape is rendered.

Owns: the registry of a process and the metrics with a fixed name. Must not: hold a value of its own;
gauges of the database are collected at the scrape by who reads them.

All metrics: ``bo_build_info{revision}`` on both. API: ``bo_api_request_seconds{route,method,status}``,
``bo_data_lag_seconds``, ``bo_pairs{status}``, ``bo_dlq_rows{origin}``, ``bo_dlq_recent_rows{origin}``,
``bo_counted_timestamp_seconds``.
Consumer: ``bo_stream_records_total{topic,partition,outcome}``, ``bo_stream_batch_seconds``,
``bo_stream_lag_records{topic,partition}``, ``bo_stream_freshness_seconds{topic,partition}``,
``bo_stream_ready``. A gauge whose value is not known is absent from the scrape.
"""

from __future__ import annotations

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

#: Fine between 5 ms and 1 s, where the SLO (p95 of 200 ms) lies.
REQUEST_BUCKETS = (
    0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2,
    0.225, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
BATCH_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CONTENT_TYPE = CONTENT_TYPE_LATEST


def new_registry(revision: str) -> CollectorRegistry:
    """A process's registry with its build and its own memory, time and file figures."""
    # A creation time for each series doubles a scrape and tells nothing here.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    Info("bo_build", "What runs here.", registry=registry).info({"revision": revision})
    return registry


def request_seconds(registry: CollectorRegistry) -> Histogram:
    """The API's requests; ``route`` is the pattern, never a path with an id in it."""
    return Histogram(
        "bo_api_request_seconds",
        "Time from the request to its answer.",
        ["route", "method", "status"],
        buckets=REQUEST_BUCKETS,
        registry=registry,
    )


def stream_records(registry: CollectorRegistry) -> Counter:
    """Records by outcome; their sum over outcomes is what was consumed (conflicts are also counted apart)."""
    return Counter(
        "bo_stream_records",
        "Records by partition and outcome.",
        ["topic", "partition", "outcome"],
        registry=registry,
    )


def batch_seconds(registry: CollectorRegistry) -> Histogram:
    """One batch from decoding to the commit of its transaction."""
    return Histogram(
        "bo_stream_batch_seconds", "Decoding and writing of one batch.", buckets=BATCH_BUCKETS, registry=registry
    )


def render(registry: CollectorRegistry) -> bytes:
    """The scrape's body in Prometheus' text format."""
    return generate_latest(registry)
