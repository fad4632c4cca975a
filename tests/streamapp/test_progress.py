"""Watermarks and lags of owned partitions: never better than what is known."""

from __future__ import annotations

import time

from faust.types import TP

from streamapp.consumer.progress import Positions

PLACE = TP("ledger", 0)


def test_a_producers_stamp_of_the_future_counts_as_now() -> None:
    positions = Positions()
    positions.reset({PLACE: 0})
    place = positions.applied(PLACE, 1, time.time() + 86_400)
    assert place.caught_up is not None
    assert place.caught_up <= time.time()
