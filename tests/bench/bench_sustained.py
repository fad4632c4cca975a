"""The whole service under load for minutes: freshness, the API's p95, memory over time, dead letters, catching up.

Run: `python -m tests.bench.bench_sustained [--seconds 600] [--stop 60] [--broker apache]`. Everything is on this
machine at once: producer, Apache Kafka, the consumer, PostgreSQL, the API and its clients.

First the maximum: events are published as fast as the broker takes them, with look-ups beside it; events applied over
the time from the first event to the drained log, so that the producer's part of the two cores is in it. Then for
`--seconds` the same look-ups and 70 % of that maximum. Then the consumer is stopped for `--stop` seconds while events
arrive at the rate of the profile's load, and started again.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import psycopg
from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from streamapp.contract import LedgerEntry, PaymentOrder, encode, key_of
from tests.streamapp_live.broker import Broker
from tests.streamapp_live.stage import TOKEN, Stage
from tests.streamapp_live.worker import until
from tests.support.postgres import PostgresServer

SHARE = 0.7
PROBE_SECONDS = 15
UNLIMITED = 1e9
REQUESTS_PER_S = 100
ARRIVAL_PER_S = 2000
MIB = 2**20
LIMITS = {"freshness p95, s": 5.0, "API p95, ms": 200.0, "dead letters": 0.0, "memory over the last half, %": 5.0}


@dataclass
class Memory:
    """Samples of the memory of one part in MiB: what is its own, and its share of what is shared (PSS)."""

    roots: list[int]
    samples: list[tuple[float, float]] = field(default_factory=list)

    def sample(self) -> None:
        found = [psutil.Process(pid) for pid in self.roots]
        family = [*found, *(child for process in found for child in process.children(recursive=True))]
        total = 0
        for process in family:
            try:
                total += process.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue
        self.samples.append((time.monotonic(), total / MIB))

    def slope(self) -> tuple[float, float, float]:
        """MiB at the start and the end of the last half, by its regression line, and MiB a minute."""
        half = self.samples[len(self.samples) // 2 :]
        at, size = [a for a, _ in half], [s for _, s in half]
        line = statistics.linear_regression(at, size)
        first, last = (line.slope * moment + line.intercept for moment in (at[0], at[-1]))
        return first, last, line.slope * 60


class Bench:
    """One environment and what runs in it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._phase = 0
        self.consumer = stage.consumer(LOG_LEVEL="WARNING")
        self.api = stage.api(LOG_LEVEL="WARNING")

    @contextmanager
    def feed(self, rate: float) -> Iterator[None]:
        """Payments until the block ends, an order and two ledger rows each, every one new."""
        stage, self._phase = self.stage, self._phase + 1
        process = subprocess.Popen([
            sys.executable, "-m", "tests.bench.bench_sustained", "--produce", stage.broker.bootstrap, stage.ledger,
            stage.order, str(rate), str(self._phase)])  # fmt: skip
        try:
            yield
            assert process.poll() is None, "the producer ended"
        finally:
            process.terminate()
            assert process.wait(90) == 0, "not everything was delivered"

    def look_ups(self, seconds: float) -> subprocess.Popen[bytes]:
        """The load job, at a steady rate whatever the API does; its last line has the figures."""
        spec = {"api": f"http://127.0.0.1:{self.api.port}", "requests_per_s": REQUESTS_PER_S, "duration_s": seconds}
        return self._job("load", self.stage.environment("bo_api"), LOAD_SPEC=json.dumps(spec), API_TOKEN=TOKEN)

    def told(self, job: str) -> Path:
        """Where a job's output goes: a pipe that nobody reads would stop it."""
        return self.stage.folder / f"{job}.out"

    def _job(self, job: str, env: dict[str, str], **more: str) -> subprocess.Popen[bytes]:
        with self.told(job).open("wb") as out:
            return subprocess.Popen([sys.executable, "-m", "streamapp", job], stdout=out,
                                    env={"PATH": os.environ["PATH"], **env, **more})  # fmt: skip

    def figures(self, look_ups: subprocess.Popen[bytes]) -> dict[str, Any]:
        """What the look-ups' job says at its end."""
        code, told = look_ups.wait(120), self.told("load").read_text().splitlines()
        assert code == 0, told[-3:]
        return dict(json.loads(told[-1]))

    def lag(self) -> float | None:
        """Records that wait; None where the consumer does not say."""
        found = self.consumer.samples("bo_stream_lag_records")
        return sum(found.values()) if found else None

    def consumed(self) -> int:
        return self.stage.books()["consumed"]

    def drained(self, seconds: float = 900) -> None:
        """Wait until two looks a second apart find nothing that waits."""
        def twice() -> bool:
            if self.lag() != 0:
                return False
            time.sleep(1)
            return self.lag() == 0
        until(twice, seconds, every=0.2)


def payment(number: int, phase: int, at: datetime) -> tuple[PaymentOrder, LedgerEntry, LedgerEntry]:
    """One payment, complete and equal on both sides."""
    order_id, amount = f"order-{phase}-{number:012d}", Decimal(number % 100_000 + 1) / 100
    user, shop = f"user-{number % 20_000}", f"shop-{number % 2_000}"
    sides = ((f"tx-{phase}-{number:012d}-p", user, "PAYMENT", -amount),
             (f"tx-{phase}-{number:012d}-r", shop, "RECEIVE", amount))  # fmt: skip
    pay, receive = (LedgerEntry(tx_id, wallet, kind, amount, signed, order_id, "PAYMENT_ORDER", at, at, at, 1)
                    for tx_id, wallet, kind, signed in sides)  # fmt: skip
    return PaymentOrder(order_id, user, "a merchant", amount, "SETTLED", at, at, 1), pay, receive


def produce(bootstrap: str, ledger: str, order: str, rate: float, phase: int) -> int:
    """Publish payments at `rate` events a second until SIGTERM, and wait until the broker has all: 0, else 1."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 20})
    began, number = time.monotonic(), 0
    while not stopped:
        for record in payment(number, phase, datetime.now(UTC)):
            topic = order if isinstance(record, PaymentOrder) else ledger
            while True:
                try:
                    producer.produce(topic, encode(record), key_of(record))
                    break
                except BufferError:
                    producer.poll(0.05)
        number += 1
        ahead = number * 3 / rate - (time.monotonic() - began)
        producer.poll(min(ahead, 0.05) if ahead > 0.01 else 0)
    return 1 if producer.flush(60) else 0


def maximum(bench: Bench) -> tuple[float, str]:
    """Events a second that the two cores bring from the producer to committed rows, and how that came about."""
    began, before = time.monotonic(), bench.consumed()
    look_ups = bench.look_ups(PROBE_SECONDS)
    with bench.feed(UNLIMITED):
        time.sleep(PROBE_SECONDS)
    published, meanwhile = time.monotonic() - began, bench.consumed() - before
    bench.figures(look_ups)
    bench.drained()
    # `drained` looked for a second longer than it had to.
    took, events = time.monotonic() - began - 1, bench.consumed() - before
    return events / took, (f"{events:,} events published in {published:.0f} s, {meanwhile:,} of them applied by then, "
                           f"all after {took:.0f} s")  # fmt: skip


def sustained(bench: Bench, rate: float, seconds: float) -> tuple[dict[str, float], dict[str, Memory]]:
    with psycopg.connect(bench.stage.database.conninfo(), autocommit=True) as connection:
        connection.execute("TRUNCATE bo.ledger_entries, bo.payment_orders")
    memory = {"consumer": Memory([bench.consumer.process.pid]), "API": Memory([bench.api.process.pid]),
              "PostgreSQL": Memory([bench.stage.server.process.pid])}  # fmt: skip
    freshness: list[float] = []
    before, began = bench.consumed(), time.monotonic()
    with bench.feed(rate):
        # Known ids are needed for the look-ups.
        until(lambda: bench.stage.count() > 1000)
        look_ups = bench.look_ups(seconds)
        while time.monotonic() - began < seconds:
            turn = time.monotonic()
            found = bench.consumer.samples("bo_stream_freshness_seconds")
            # Silence is no freshness: the time since it last spoke counts.
            freshness.append(max(found.values()) if found else seconds)
            for one in memory.values():
                one.sample()
            time.sleep(max(0.0, 1 - (time.monotonic() - turn)))
        rated = (bench.consumed() - before) / (time.monotonic() - began)
    answers = bench.figures(look_ups)
    bench.drained()
    statuses = set(answers["statuses"])
    assert statuses <= {"200", "404"}, answers
    return {
        "events/s applied": rated, "freshness p95, s": statistics.quantiles(freshness, n=20)[18],
        "freshness max, s": max(freshness), "API p95, ms": answers["p95_s"] * 1000,
        "look-ups": answers["requests"],
        "dead letters": float(bench.stage.one("SELECT count(*) FROM bo.consumer_dlq_events")),
    }, memory  # fmt: skip


def catch_up(bench: Bench, stop: float) -> tuple[float, float]:
    """Events a second applied from the consumer's first batch to the end of its backlog, and the seconds for that from
    its start, while events go on arriving."""
    with bench.feed(ARRIVAL_PER_S):
        bench.consumer.terminate()
        time.sleep(stop)
        before = bench.consumed()
        began = time.monotonic()
        bench.consumer = bench.stage.consumer(ready=False, like=bench.consumer, LOG_LEVEL="WARNING")
        until(lambda: bench.consumed() > before, 120, every=0.05)
        first, had = time.monotonic(), bench.consumed()
        # A steady stream always has a few that wait: caught up is less than half a second of it.
        until(lambda: (lag := bench.lag()) is not None and lag < ARRIVAL_PER_S / 2, 300, every=0.05)
        done = time.monotonic()
        # What the first look found was applied before it.
        return (bench.consumed() - before) / max(done - first, 0.001) if had > before else 0.0, done - began


def main(seconds: float, stop: float, engine: str) -> int:
    console = Console()
    with (PostgresServer.started() as server, Broker.started(engine) as broker,
          tempfile.TemporaryDirectory() as folder):  # fmt: skip
        stage = Stage(server, broker, Path(folder))
        try:
            bench = Bench(stage)
            until(lambda: bench.lag() is not None)
            most, how = maximum(bench)
            console.print(f"maximum: {most:,.0f} events/s beside {REQUESTS_PER_S} look-ups/s ({how})")
            found, memory = sustained(bench, most * SHARE, seconds)
            rate, took = catch_up(bench, stop)
        finally:
            stage.end()
    table = Table("figure", "value", "limit")
    growth = {}
    for name, value in found.items():
        table.add_row(name, f"{value:,.2f}", f"{LIMITS[name]:g}" if name in LIMITS else "")
    for part, one in memory.items():
        first, last, slope = one.slope()
        growth[part] = (last - first) / first * 100
        table.add_row(f"{part}, MiB over the last half", f"{first:,.1f} → {last:,.1f} ({slope:+.2f} a minute)",
                      f"{LIMITS['memory over the last half, %']:g} %")  # fmt: skip
    caught = f"{rate:,.0f} events/s = {rate / ARRIVAL_PER_S:.1f} times the arrival; {took:.1f} s"
    table.add_row(f"catch-up after {stop:g} s at {ARRIVAL_PER_S:,} events/s", caught, "5 times")
    console.print(table)
    missed = [name for name, limit in LIMITS.items() if name in found and found[name] > limit]
    missed += [f"memory of {part}" for part, share in growth.items()
               if share > LIMITS["memory over the last half, %"] and seconds >= 300]  # fmt: skip
    missed += ["catch-up"] if rate < 5 * ARRIVAL_PER_S else []
    console.print(f"missed: {', '.join(missed)}" if missed else "all within their limits")
    return 1 if missed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--produce"]:
        sys.exit(produce(*sys.argv[2:5], float(sys.argv[5]), int(sys.argv[6])))  # type: ignore[arg-type]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="of sustained load")
    parser.add_argument("--stop", type=float, default=60, help="seconds for which the consumer is stopped")
    parser.add_argument("--broker", default="apache", help="apache, the reference, or noida")
    options = parser.parse_args()
    sys.exit(main(options.seconds, options.stop, options.broker))
