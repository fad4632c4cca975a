"""The load job: look-ups at a steady rate against the API, as administrators would ask.

Owns the pace and the client's side of the figures. Must not judge them. Requests leave on time whether or not earlier
ones were answered, so a slow API cannot slow the load down and look better for it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from typing import Final

import aiohttp
import msgspec
import psycopg

from streamapp import report
from streamapp.report import JobError
from streamapp.settings import postgres_settings

# One look-up in so many asks for an id that does not exist: 404 is an answer too (P8.3).
_UNKNOWN_EVERY: Final = 20
_TIMEOUT_S: Final = 10
_REPORT_EVERY_S: Final = 1.0
_SIGTERM_EXIT: Final = 143


class LoadSpec(msgspec.Struct, forbid_unknown_fields=True):
    """LOAD_SPEC: `api` is a base URL; at `requests_per_s` for `duration_s` over `sample_ids` known ids."""

    api: str
    requests_per_s: int
    duration_s: float
    sample_ids: int = 1000


def main(_: list[str]) -> int:
    try:
        spec = msgspec.json.decode(os.environ.get("LOAD_SPEC", ""), type=LoadSpec)
    except msgspec.MsgspecError as problem:
        raise JobError("bad-spec", "LOAD_SPEC cannot be used", str(problem)) from problem
    token = os.environ.get("API_TOKEN")
    if not token:
        raise JobError("no-token", "API_TOKEN is not set")
    return asyncio.run(_Load(spec, token, _known_ids(spec.sample_ids)).run())


def _known_ids(count: int) -> list[str]:
    """Ids spread over the table, as the API's own role sees them."""
    with psycopg.connect(postgres_settings(os.environ).conninfo("txplan load")) as connection:
        rows = connection.execute(
            "SELECT tx_id FROM bo.ledger_entries ORDER BY hashtext(tx_id) LIMIT %s", (count,)).fetchall()
    return [row[0] for row in rows]


class _Load:
    def __init__(self, spec: LoadSpec, token: str, ids: list[str]) -> None:
        self._spec, self._token, self._ids = spec, token, ids
        self._seconds: list[float] = []
        self._statuses: Counter[str] = Counter()
        self._stopped = asyncio.Event()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopped.set)
        total = int(self._spec.requests_per_s * self._spec.duration_s)
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        headers = {"Authorization": f"Bearer {self._token}"}
        async with (aiohttp.ClientSession(self._spec.api, timeout=timeout, headers=headers) as session,
                    asyncio.TaskGroup() as group):
            await self._pace(session, group, total)
        report.result(self._figures())
        return _SIGTERM_EXIT if self._stopped.is_set() else 0

    async def _pace(self, session: aiohttp.ClientSession, group: asyncio.TaskGroup, total: int) -> None:
        began, told = time.monotonic(), 0.0
        for number in range(total):
            ahead = began + number / self._spec.requests_per_s - time.monotonic()
            if ahead > 0:
                await asyncio.sleep(ahead)
            if self._stopped.is_set():
                return
            group.create_task(self._ask(session, number))
            if time.monotonic() - told > _REPORT_EVERY_S:
                told = time.monotonic()
                report.progress(number, total, "look-ups")

    async def _ask(self, session: aiohttp.ClientSession, number: int) -> None:
        unknown = not self._ids or number % _UNKNOWN_EVERY == 0
        tx_id = f"txplan-load-unknown-{number}" if unknown else self._ids[number % len(self._ids)]
        began = time.perf_counter()
        try:
            async with session.get(f"/admin/tx/{tx_id}") as answer:
                await answer.read()
                self._statuses[str(answer.status)] += 1
        except (aiohttp.ClientError, TimeoutError):
            self._statuses["no-answer"] += 1
        self._seconds.append(time.perf_counter() - began)

    def _figures(self) -> dict[str, object]:
        ordered = sorted(self._seconds)

        def at(share: float) -> float | None:
            return round(ordered[int(share * (len(ordered) - 1))], 6) if ordered else None

        return {"requests": len(ordered), "statuses": dict(sorted(self._statuses.items())), "p50_s": at(0.5),
                "p95_s": at(0.95), "max_s": at(1.0)}
