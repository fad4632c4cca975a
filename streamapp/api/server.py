"""The API process: one pool, one event loop, uvicorn.

Owns: start and end of the pool, the audit trail and the server, and ``/healthz``, ``/readyz``,
``/metrics``. Must not: hold a look-up's logic.

The pool is opened without a connection, so the process also starts while the database is away; it
is then alive and not ready. On SIGTERM the server answers what it has begun, the audit trail is
flushed, and the pool is closed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import uvicorn
import uvloop
from falcon.asgi import App, Request, Response
from prometheus_client import CollectorRegistry

from streamapp import logs, metrics
from streamapp.api import problems
from streamapp.api.audit import Audit
from streamapp.api.auth import Credentials
from streamapp.api.protocol import limited
from streamapp.api.rate import Rate
from streamapp.api.routes import Gate, Lookups, add_routes, plain
from streamapp.api.stats import Lag, Stats
from streamapp.settings import ApiSettings, Postgres, api_settings

POOL_SIZE = 10
GRACE_SECONDS = 10
READY_SECONDS = 2.0
#: With every answer. They are data for programs: no browser shall guess a type, keep, frame or run one.
SECURITY_HEADERS = [
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("referrer-policy", "no-referrer"),
]


class Probes:
    """``/healthz``: the loop turns. ``/readyz``: the database answers. ``/metrics``: a scrape."""

    def __init__(self, pool: asyncpg.Pool, stats: Stats, registry: CollectorRegistry) -> None:
        self._pool = pool
        self._stats = stats
        self._registry = registry

    async def on_get_health(self, req: Request, resp: Response) -> None:
        """200 as long as the process answers."""
        plain(resp, {"healthy": True})

    async def on_get_ready(self, req: Request, resp: Response) -> None:
        """200 where the database answers, 503 with the reason where it does not."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._pool.fetchval("SELECT 1 FROM bo.ledger_entries LIMIT 1")
        except (*problems.UNAVAILABLE, asyncpg.PostgresError) as error:
            reasons = [f"database: {type(error).__name__}"]
            plain(resp, {"ready": False, "reasons": reasons}, HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            plain(resp, {"ready": True, "reasons": []})

    async def on_get_metrics(self, req: Request, resp: Response) -> None:
        """Prometheus' text format; the store's gauges are read now."""
        await self._stats.refresh()
        resp.content_type = metrics.CONTENT_TYPE
        resp.data = metrics.render(self._registry)


class Lifespan:
    """Starts the pool and the audit trail with the server, and ends them in the right order."""

    def __init__(self, pool: asyncpg.Pool, audit: Audit) -> None:
        self._pool = pool
        self._audit = audit

    async def process_startup(self, scope: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        """Before the first request."""
        await self._pool
        self._audit.start()

    async def process_shutdown(self, scope: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        """After the last answer."""
        await self._audit.close()
        try:
            await asyncio.wait_for(self._pool.close(), GRACE_SECONDS)
        except TimeoutError:
            self._pool.terminate()


async def _keep_session(connection: asyncpg.Connection) -> None:
    """The pool's reset on release, left out."""


class _Login:
    """Opens connections with whichever of the two passwords the server takes, the last good one first."""

    def __init__(self, passwords: Sequence[str]) -> None:
        self._passwords = list(passwords)

    async def __call__(self, *arguments: Any, **options: Any) -> asyncpg.Connection:
        """What the pool asks for a new connection."""
        for password in list(self._passwords):
            try:
                connection = await asyncpg.connect(*arguments, **options, password=password)
            except asyncpg.InvalidPasswordError:
                continue
            self._passwords.sort(key=lambda one: one != password)
            return connection
        raise asyncpg.InvalidPasswordError("the server takes no password that this process has")


def new_pool(postgres: Postgres) -> asyncpg.Pool:
    """The pool, not opened yet; connections are made when they are needed."""
    return asyncpg.create_pool(
        host=postgres.host,
        port=postgres.port,
        database=postgres.database,
        user=postgres.user,
        connect=_Login([p for p in (postgres.password, postgres.other_password) if p]),
        ssl=postgres.sslmode,
        min_size=0,
        max_size=POOL_SIZE,
        timeout=5,
        command_timeout=60,
        # No look-up changes its session, so there is nothing to reset: one round trip less a request.
        reset=_keep_session,
        server_settings={"application_name": "txplan-api"},
    )


def make_app(settings: ApiSettings, pool: asyncpg.Pool) -> App[Request, Response]:
    """The ASGI app over a pool."""
    registry = metrics.new_registry(settings.web.revision)
    audit, lag = Audit(pool), Lag(pool)
    stats = Stats(pool, lag, settings.dlq_window_s, settings.pairs_settled_s)
    registry.register(stats)
    rate = Rate(settings.limits.rate_per_s, settings.limits.burst)
    gate = Gate(Credentials(settings.credentials), rate, audit, metrics.request_seconds(registry))
    app: App[Request, Response] = App()
    app.add_middleware(Lifespan(pool, audit))
    app.add_middleware(gate)
    problems.install(app)
    add_routes(app, Lookups(pool, lag))
    probes = Probes(pool, stats, registry)
    app.add_route("/healthz", probes, suffix="health")
    app.add_route("/readyz", probes, suffix="ready")
    app.add_route("/metrics", probes, suffix="metrics")
    return app


async def _serve(settings: ApiSettings) -> None:
    pool = new_pool(settings.postgres)
    config = uvicorn.Config(
        make_app(settings, pool),
        host=settings.web.host,
        port=settings.web.port,
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        headers=SECURITY_HEADERS,
        http=limited(settings.limits),
        ws="none",
        limit_concurrency=settings.limits.connections,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    await uvicorn.Server(config).serve()


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM (``python -m streamapp api``)."""
    settings = api_settings(os.environ)
    logs.to_stderr(settings.web.log_level)
    uvloop.run(_serve(settings))
    return 0
