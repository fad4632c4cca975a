"""A window of scraped metrics: what counters gained, what histograms gained, what gauges said. Pure functions.

A counter that went down was restarted and counts from zero, as in Prometheus. No sample is no data, never zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from math import inf

from engine.providers.base import Sample

Labels = tuple[tuple[str, str], ...]
Series = Mapping[tuple[str, int, Labels], Sequence[float]]


def series(samples: Iterable[Sample], name: str) -> dict[tuple[str, int, Labels], list[float]]:
    """The values of one metric by (app, replica, labels), in the order of their time."""
    found: dict[tuple[str, int, Labels], list[float]] = {}
    for sample in sorted((s for s in samples if s.name == name), key=lambda s: s.at):
        found.setdefault((sample.app, sample.replica, tuple(sorted(sample.labels.items()))), []).append(sample.value)
    return found


def increase(values: Sequence[float], *, born: bool) -> float:
    """What a counter gained over its samples; `born` where the series appeared within the window, so that its first
    value is a gain too."""
    gained = values[0] if born and values else 0.0
    for before, after in pairwise(values):
        gained += after - before if after >= before else after
    return gained


def increases(samples: Sequence[Sample], name: str,
              keep: Callable[[Mapping[str, str]], bool] = lambda _: True) -> dict[Labels, float]:
    """What a counter gained in the window, by labels, summed over replicas; empty where nothing was scraped."""
    scrapes: dict[tuple[str, int], int] = {}
    for key in {(s.app, s.replica, s.at) for s in samples}:
        scrapes[key[:2]] = scrapes.get(key[:2], 0) + 1
    total: dict[Labels, float] = {}
    for (app, replica, labels), values in series(samples, name).items():
        if keep(dict(labels)):
            gained = increase(values, born=len(values) < scrapes[app, replica])
            total[labels] = total.get(labels, 0.0) + gained
    return total


def histogram_quantile(q: float, samples: Sequence[Sample], name: str,
                       keep: Callable[[Mapping[str, str]], bool] = lambda _: True) -> tuple[float, float] | None:
    """(q-quantile, observations) of a histogram's gain in the window, interpolated inside its bucket; None where
    nothing was observed. The last finite bound is the answer where the quantile lies beyond it, as in Prometheus."""
    buckets: dict[float, float] = {}
    for labels, gained in increases(samples, f"{name}_bucket", keep).items():
        bound = float(dict(labels)["le"])
        buckets[bound] = buckets.get(bound, 0.0) + gained
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] <= 0:
        return None
    count = buckets[bounds[-1]]
    rank, low, below = q * count, 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if bound == inf:
                return low, count
            inside = buckets[bound] - below
            return (low + (bound - low) * ((rank - below) / inside if inside else 1.0)), count
        low, below = bound, buckets[bound]
    return low, count


def quantile(q: float, values: Sequence[float]) -> float | None:
    """The q-quantile of plain values by the nearest-rank method; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(q * 1000) * len(ordered) // 1000) - 1))]


def worst_by_time(samples: Iterable[Sample], name: str) -> list[float]:
    """The largest value of a gauge at each time at which it was scraped."""
    worst: dict[object, float] = {}
    for sample in samples:
        if sample.name == name:
            worst[sample.at] = max(worst.get(sample.at, -inf), sample.value)
    return [worst[at] for at in sorted(worst, key=str)]


def latest(samples: Iterable[Sample], name: str, label: str) -> dict[str, float]:
    """The newest value of a gauge by one of its labels; the largest where replicas say different things."""
    newest: dict[str, tuple[object, float]] = {}
    for sample in sorted((s for s in samples if s.name == name), key=lambda s: s.at):
        key = sample.labels.get(label, "")
        at, value = newest.get(key, (None, -inf))
        newest[key] = (sample.at, sample.value if at != sample.at else max(value, sample.value))
    return {key: value for key, (_, value) in newest.items()}
