"""Observing a whole environment on Azure with 100 ms a call, beside one read after the other.

The reads are counted: a plan reads each resource once, and a few lists.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from engine.planning.observe import observe
from tests.azure.arm import ArmServer
from tests.azure.provided import Azure

LATENCY_S = 0.1


def main() -> None:
    with ArmServer.running() as arm, tempfile.TemporaryDirectory() as folder:
        os.environ.update(arm.environment())
        azure = Azure(arm, Path(folder))
        azure.make_all()
        arm.latency = LATENCY_S
        azure.open()
        before, began = len(arm.record.calls), time.monotonic()
        observe(azure.graph.steps.values(), azure.kinds, azure.target)
        took, calls = time.monotonic() - began, len(arm.record.calls) - before
        sys.stdout.write(
            f"plan on Azure, {len(azure.graph.steps)} steps, {LATENCY_S * 1000:.0f} ms a call: {took:.2f} s, "
            f"{calls} calls; one after the other: {calls * LATENCY_S:.1f} s\n")


if __name__ == "__main__":
    main()
