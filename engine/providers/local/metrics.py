"""Reads the Prometheus metrics of an app's replicas.

Owns: one scrape. Must not: keep, sum or judge values.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from engine.providers.base import Sample
from engine.providers.local import web
from engine.providers.local.apps import Apps


class Scraper:
    """Metrics over the endpoints of an app host."""

    def __init__(self, apps: Apps) -> None:
        self._apps = apps

    def scrape(self, app: str) -> Sequence[Sample]:
        """The current metrics of every replica that answers within two seconds; an empty list where none does."""
        state = self._apps.describe(app)
        if state is None or not state.endpoints:
            return []
        with ThreadPoolExecutor(len(state.endpoints)) as pool:
            found = pool.map(lambda n: _replica(app, n, state.endpoints[n]), range(len(state.endpoints)))
        return [sample for samples in found for sample in samples]


def _replica(app: str, replica: int, endpoint: str) -> list[Sample]:
    answer, at = web.get(urlsplit(endpoint).port or 80, "/metrics"), datetime.now(UTC)
    if answer is None or answer[0] != 200:
        return []
    try:
        return [Sample(app, replica, at, sample.name, dict(sample.labels), float(sample.value))
                for family in text_string_to_metric_families(answer[1]) for sample in family.samples]
    except ValueError:
        return []  # What cannot be read is no data.
