"""Clocks that jump: that of the source, which stamps records and events, and that of the consumer's machine."""

from __future__ import annotations

import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest

from tests.faults.road import Road
from tests.streamapp_live.worker import until

full = pytest.mark.full
#: Debian's package faketime.
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


@pytest.mark.parametrize("jump", [timedelta(minutes=50), pytest.param(timedelta(days=-1), marks=full)], ids=str)
def test_the_clock_of_the_source_jumps(road: Road, jump: timedelta) -> None:
    """Apache Kafka itself refuses stamps that are more than an hour ahead."""
    with road.fault(f"the source's clock jumps by {jump.total_seconds() / 60:+.0f} min, and back"):
        road.feeder.skew = jump
        road.flowing()
        road.feeder.skew = timedelta(0)
    assert road.one("SELECT max(caught_up_at) <= clock_timestamp() FROM bo.stream_progress")


@full
@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed (Debian: apt install faketime)")
@pytest.mark.parametrize("jump", ["+3h", "-3h"])
def test_the_clock_of_the_consumer_jumps(road: Road, tmp_path: Path, jump: str) -> None:
    offset = tmp_path / "offset"
    offset.write_text("+0")
    member = road.members[0]
    member.terminate()
    member = road.again(member, LD_PRELOAD=str(FAKETIME[0]), FAKETIME_TIMESTAMP_FILE=str(offset), FAKETIME_NO_CACHE="1",
                        DONT_FAKE_MONOTONIC="1")  # fmt: skip
    with road.fault(f"the consumer's clock jumps by {jump}"):
        offset.write_text(jump)
        road.flowing()
        assert road.one("SELECT max(caught_up_at) <= clock_timestamp() FROM bo.stream_progress")
        member.terminate()
        road.again(member, ready=False)


def test_freshness_shows_a_consumer_that_stands_still(road: Road) -> None:
    """The figure grows while nothing is applied; it never stays at its last good value."""
    member, door = road.members[0], road.door
    assert door is not None
    with road.fault("the consumer stands still for 5 s (SIGSTOP)"):
        begun = time.monotonic()
        member.process.send_signal(signal.SIGSTOP)
        time.sleep(5)
        until(lambda: max(door.samples("bo_data_lag_seconds").values(), default=0.0) >= 4)
        assert max(door.samples("bo_data_lag_seconds").values()) <= time.monotonic() - begun + 3
        member.process.send_signal(signal.SIGCONT)
    until(lambda: max(door.samples("bo_data_lag_seconds").values(), default=99.0) < 3)
