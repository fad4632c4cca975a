"""Reads the Prometheus metrics of an app over its ingress.

Owns: one scrape. Must not: keep, sum or judge values. An ingress answers for one replica a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from engine.providers.azure import web
from engine.providers.azure.apps import Apps
from engine.providers.azure.site import Site
from engine.providers.base import Sample

_FRESH_S = 30.0


class Scraper:
    """Metrics over the endpoints of an app host."""

    def __init__(self, apps: Apps, site: Site) -> None:
        self._apps, self._tls = apps, site.tls()
        self._endpoints: dict[str, tuple[datetime, Sequence[str]]] = {}

    def scrape(self, app: str) -> Sequence[Sample]:
        """The current metrics; an empty list where nothing answers."""
        found: list[Sample] = []
        for replica, endpoint in enumerate(self._where(app)):
            answer, at = web.get(f"{endpoint}/metrics", self._tls), datetime.now(UTC)
            if answer is None or answer[0] != 200:
                continue
            try:
                found += [Sample(app, replica, at, s.name, dict(s.labels), float(s.value))
                          for family in text_string_to_metric_families(answer[1]) for s in family.samples]
            except ValueError:
                continue  # What cannot be read is no data.
        return found

    def _where(self, app: str) -> Sequence[str]:
        """The endpoints, looked up now and then: a scrape a second is no reason to ask the resource manager each."""
        now = datetime.now(UTC)
        at, kept = self._endpoints.get(app, (datetime.min.replace(tzinfo=UTC), ()))
        if (now - at).total_seconds() > _FRESH_S or not kept:
            state = self._apps.describe(app)
            kept = state.endpoints if state is not None else ()
            self._endpoints[app] = (now, kept)
        return kept
