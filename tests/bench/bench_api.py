"""The API's requests a second and p95 against a bare ASGI handler: same query, same server, one pool each.

Run: `python -m tests.bench.bench_api [seconds] [rounds]`. Both sides run in turn under uvicorn in a process
of their own, one worker, the same pool size, 32 keep-alive connections from one client process, one in ten
ids unknown. What the bare handler leaves out is what is measured: credential, routing, audit, metrics, lag.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
import psycopg
import uvicorn
from rich.console import Console
from rich.table import Table

from streamapp.api import queries
from streamapp.api.server import new_pool
from streamapp.settings import postgres_settings
from tests.streamapp_live.worker import Process, until
from tests.support.postgres import Database, PostgresServer, free_port

CONNECTIONS = 32
ROWS = 200_000
TOKEN = "bench"
# One client asks as much as it can: its rate is what is measured.
UNLIMITED = {"API_RATE_PER_S": "1000000", "API_BURST": "1000000"}
FILL = """
INSERT INTO bo.payment_orders (order_id, user_id, merchant_name, amount, status, created_at, version, src)
SELECT 'order-' || i, 'user-' || i %% 1000, 'merchant-' || i %% 50, 12.34, 'SETTLED', now(), 1, 'backfill'
FROM generate_series(0, %(orders)s - 1) i;
INSERT INTO bo.ledger_entries (tx_id, wallet_id, entry_type, amount, amount_signed, related_id, related_type,
                               event_time, version, src)
SELECT 'tx-' || i, 'wallet-' || i %% 5000, CASE i %% 2 WHEN 0 THEN 'PAYMENT' ELSE 'RECEIVE' END, 12.34,
       CASE i %% 2 WHEN 0 THEN -12.34 ELSE 12.34 END, 'order-' || i / 2, 'PAYMENT_ORDER', now(), 1, 'backfill'
FROM generate_series(0, %(rows)s - 1) i;
INSERT INTO bo.stream_progress (consumer_group, topic, partition, applied_offset, end_offset, caught_up_at)
VALUES ('bench', 'ledger', 0, 1, 1, now());
"""


class Bare:
    """An ASGI handler that takes the id from the path, asks, and answers."""

    def __init__(self) -> None:
        self.pool: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            self.pool = await new_pool(postgres_settings(os.environ))
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self.pool.close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        row = await self.pool.fetchrow(queries.TX, scope["path"].rpartition("/")[2])
        body = b"{}" if row is None else msgspec.json.encode(dict(row))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200 if row else 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Client(asyncio.Protocol):
    """One keep-alive connection that asks again as soon as it has its answer."""

    def __init__(self, stop_at: float, times: list[float], statuses: dict[int, int]) -> None:
        self.stop_at, self.times, self.statuses = stop_at, times, statuses
        self.buffer = b""
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        number = random.randrange(ROWS) if random.random() < 0.9 else ROWS * 10
        self.begun = time.perf_counter()
        self.transport.write(
            f"GET /admin/tx/tx-{number} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0]):
            return
        status = int(head[9:12])
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.buffer = b""
        now = time.perf_counter()
        self.times.append(now - self.begun)
        if now < self.stop_at:
            self.ask()
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set_result(error)


async def load(port: int, seconds: float) -> dict[str, float]:
    """Requests a second and p95 in milliseconds. Any answer but 200 and 404 fails the run."""
    times: list[float] = []
    statuses: dict[int, int] = {}
    begun = time.perf_counter()
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: Client(begun + seconds, times, statuses), "127.0.0.1", port))[1]
        for _ in range(CONNECTIONS)
    ]
    await asyncio.gather(*(client.closed for client in clients))
    assert set(statuses) == {200, 404}, statuses
    rate, p95 = len(times) / (time.perf_counter() - begun), statistics.quantiles(times, n=20)[18] * 1000
    return {"rate": rate, "p95": p95, "count": len(times)}


def measured(port: int, pid: int, seconds: float) -> dict[str, float]:
    """The client in a process of its own, after a warm-up; with the server's CPU time a request."""
    server = psutil.Process(pid)
    for duration in (1.0, seconds):
        before = sum(server.cpu_times()[:2])
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.bench_api", "--client", str(port), str(duration)],
            capture_output=True, check=True, text=True,
        )  # fmt: skip
        after = sum(server.cpu_times()[:2])
    answer = dict(json.loads(done.stdout))
    return {**answer, "cpu": (after - before) / answer["count"] * 1e6}


def run_bare(env: dict[str, str], seconds: float) -> dict[str, float]:
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.bench_api", "--bare", str(port)],
        env={"PATH": os.environ["PATH"], **env},
    )
    try:
        time.sleep(2)
        return measured(port, server.pid, seconds)
    finally:
        server.terminate()
        server.wait(20)


def run_api(env: dict[str, str], seconds: float, folder: Path) -> dict[str, float]:
    tokens = json.dumps({"bench": TOKEN})
    api = Process("api", {**env, "API_CREDENTIALS": tokens, "LOG_LEVEL": "WARNING", **UNLIMITED}, folder)
    try:
        until(lambda: api.get("/readyz")[0] == 200)
        return measured(api.port, api.process.pid, seconds)
    finally:
        api.terminate()


def fill(database: Database) -> None:
    with psycopg.connect(database.conninfo(), autocommit=True, cursor_factory=psycopg.ClientCursor) as conn:
        conn.execute(FILL, {"rows": ROWS, "orders": ROWS // 2})
        conn.execute("VACUUM ANALYZE")


def main(seconds: float = 5, rounds: float = 3) -> None:
    columns = [f"{side} {figure}" for side in ("bare", "API") for figure in ("req/s", "p95 ms", "CPU µs")]
    table = Table("round", *columns, "ratio")
    ratios = []
    with PostgresServer.started(durable=True) as server, tempfile.TemporaryDirectory() as folder:
        database = server.database()
        fill(database)
        env = database.environment("bo_api")
        for number in range(1, int(rounds) + 1):
            bare, api = run_bare(env, seconds), run_api(env, seconds, Path(folder))
            ratios.append(api["rate"] / bare["rate"])
            cells = [f"{side[name]:,.0f}" for side in (bare, api) for name in ("rate", "p95", "cpu")]
            table.add_row(str(number), *cells, f"{ratios[-1]:.2f}")
    table.add_row("median", *[""] * len(columns), f"{statistics.median(ratios):.2f}")
    Console().print(table)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--client", port, seconds]:
            sys.stdout.write(json.dumps(asyncio.run(load(int(port), float(seconds)))))
        case ["--bare", port]:
            options = {"log_level": "warning", "access_log": False, "proxy_headers": False, "server_header": False}
            uvicorn.run(Bare(), host="127.0.0.1", port=int(port), **options)  # type: ignore[arg-type]
        case [*numbers]:
            main(*(float(number) for number in numbers))
