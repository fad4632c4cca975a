"""The consumer's pages on Faust's own web server: ``/healthz``, ``/readyz``, ``/metrics``.

Owns: what they answer. Must not: reach the database or the broker, so that they answer at any time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from faust.web import Request, Response, View
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streamapp import metrics
from streamapp.consumer.health import Health
from streamapp.consumer.progress import Positions


class StreamGauges(Collector):
    """Lag, freshness and readiness as they are at the scrape."""

    def __init__(self, positions: Positions, health: Health) -> None:
        self._positions = positions
        self._health = health

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        labels = ["topic", "partition"]
        lag = GaugeMetricFamily("bo_stream_lag_records", "Records that wait on the broker.", labels=labels)
        fresh = GaugeMetricFamily("bo_stream_freshness_seconds", "Age of the watermark, now.", labels=labels)
        for tp, place in self._positions.places.items():
            topic, partition = tp
            if (waiting := self._positions.lag_now(tp)) is not None:
                lag.add_metric([topic, str(partition)], waiting)
            if place.caught_up is not None:
                fresh.add_metric([topic, str(partition)], max(0.0, time.time() - place.caught_up))
        ready = GaugeMetricFamily("bo_stream_ready", "1 while the consumer can serve.")
        ready.add_metric([], 0.0 if self._health.not_ready() else 1.0)
        yield from (lag, fresh, ready)


def add_pages(app: Any) -> None:
    """Add the pages to a ``StreamApp``."""
    health: Health = app.health
    registry = app.writer.registry
    registry.register(StreamGauges(app.writer.positions, health))

    async def healthz(view: View, request: Request) -> Response:
        healthy = health.healthy()
        return view.json({"healthy": healthy}, status=200 if healthy else 503)

    async def readyz(view: View, request: Request) -> Response:
        reasons = health.not_ready()
        body = {"ready": not reasons, "reasons": reasons, "partitions": health.partitions}
        return view.json(body, status=503 if reasons else 200)

    async def scrape(view: View, request: Request) -> Response:
        return view.bytes(metrics.render(registry), content_type="text/plain; version=0.0.4")

    for path, page in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", scrape)):
        app.page(path)(page)
