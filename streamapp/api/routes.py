"""The look-ups over HTTP: paths, their parameters, and their answers as JSON.

Owns: what a parameter may be, which answers are 404, and the audit row of each call. Must not: write
SQL or compare credentials.

Every path but the three open ones asks for a credential before anything else is looked at: 401 also
for a path that does not exist, and for one that the router takes to be a look-up although it is
spelled otherwise (``//admin/…``). Ids have at most 256 characters and no NUL, as the contract has them;
others cannot exist, so they are refused (400) without asking the database.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import msgspec
from falcon.asgi import App, Request, Response
from prometheus_client import Histogram

from streamapp.api import queries
from streamapp.api.audit import Audit
from streamapp.api.auth import Credentials
from streamapp.api.problems import Problem
from streamapp.api.rate import NOBODY, Rate
from streamapp.api.stats import Lag
from streamapp.contract import ID_LIMIT

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
#: What a path outside the table is called in metrics and in the audit trail.
UNKNOWN_ROUTE = "unknown"
#: What needs no credential, exactly as it is written.
OPEN = frozenset({"/healthz", "/readyz", "/metrics"})
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_encode = msgspec.json.Encoder().encode


class Gate:
    """Middleware: the credential first, and afterwards the metric and the audit row."""

    def __init__(self, credentials: Credentials, rate: Rate, audit: Audit, seconds: Histogram) -> None:
        self._credentials = credentials
        self._rate = rate
        self._audit = audit
        self._seconds = seconds
        self._series: dict[tuple[str, str, int], Histogram] = {}

    async def process_request(self, req: Request, resp: Response) -> None:
        """401 without a credential, 429 over the rate, 503 where the call could not be audited."""
        req.context.begun = time.perf_counter()
        req.context.actor = None
        if req.path in OPEN:
            return
        actor = self._credentials.actor(req.get_header("Authorization"))
        wait = self._rate.take(actor or NOBODY, time.monotonic())
        if wait:
            self._audit.add_denied(actor or NOBODY, _method(req), _target(req), HTTPStatus.TOO_MANY_REQUESTS)
            headers = {"Retry-After": str(math.ceil(wait))}
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "too-many-requests", "Ask less often.", headers)
        if actor is None:
            self._audit.add_denied(NOBODY, _method(req), _target(req), HTTPStatus.UNAUTHORIZED)
            headers = {"WWW-Authenticate": "Bearer"}
            raise Problem(HTTPStatus.UNAUTHORIZED, "no-credential", "A bearer credential is needed.", headers)
        if not self._audit.has_room():
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "audit-full", "The audit trail is behind; try again.")
        req.context.actor = actor

    async def process_response(self, req: Request, resp: Response, resource: object, succeeded: bool) -> None:
        """Observe the request, and audit it where it had a credential."""
        status = resp.status_code
        method = _method(req)
        route = req.uri_template or UNKNOWN_ROUTE
        key = (route, method, status)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = self._seconds.labels(route, method, str(status))
        series.observe(time.perf_counter() - req.context.begun)
        if req.context.actor is not None:
            count = getattr(req.context, "result_count", 0)
            self._audit.add(req.context.actor, f"{method} {route}", _target(req), count, status)


class Lookups:
    """The three resources; Falcon picks the responder by its suffix."""

    def __init__(self, pool: asyncpg.Pool, lag: Lag) -> None:
        self._pool = pool
        self._lag = lag

    async def on_get_tx(self, req: Request, resp: Response, tx_id: str) -> None:
        """One transaction with its order and its pair; an incomplete pair has nulls."""
        found = await queries.transaction(self._pool, _id(tx_id))
        await self._answer(req, resp, found)

    async def on_get_order(self, req: Request, resp: Response, order_id: str) -> None:
        """One payment order with its payment's pair."""
        found = await queries.payment_order(self._pool, _id(order_id))
        await self._answer(req, resp, found)

    async def on_get_wallet(self, req: Request, resp: Response, wallet_id: str) -> None:
        """A wallet's transactions in ``[from, to)``, newest first; an empty list where there are none."""
        start, end = _time(req, "from"), _time(req, "to")
        if start is not None and end is not None and start > end:
            raise Problem(HTTPStatus.BAD_REQUEST, "invalid-range", "`from` is after `to`.")
        items = await queries.wallet(self._pool, _id(wallet_id), start, end, _limit(req))
        await self._answer(req, resp, {"wallet_id": wallet_id, "items": items}, len(items))

    async def _answer(self, req: Request, resp: Response, found: dict[str, Any] | None, count: int = 1) -> None:
        if found is None:
            raise Problem(HTTPStatus.NOT_FOUND, "not-found", "No such id in the store.")
        lag = self._lag
        found["data_lag_sec"] = lag.now() if lag.fresh() else await lag.seconds()
        req.context.result_count = count
        resp.content_type = "application/json"
        resp.data = _encode(found)


def add_routes(app: App[Request, Response], lookups: Lookups) -> None:
    """Add the look-ups to the app."""
    app.add_route("/admin/tx/{tx_id}", lookups, suffix="tx")
    app.add_route("/admin/payment-orders/{order_id}", lookups, suffix="order")
    app.add_route("/admin/wallets/{wallet_id}/tx", lookups, suffix="wallet")


def _method(req: Request) -> str:
    return req.method if req.method in METHODS else "OTHER"


def _target(req: Request) -> str:
    """What was asked for: a wallet's window is a part of it."""
    return f"{req.path}?{req.query_string}" if req.query_string else req.path


def _id(text: str) -> str:
    if len(text) > ID_LIMIT or "\0" in text or not text.isprintable():
        raise Problem(HTTPStatus.BAD_REQUEST, "invalid-id", f"An id has 1 to {ID_LIMIT} printable characters.")
    return text


def _param(req: Request, name: str) -> str | None:
    values = req.params.get(name)
    if isinstance(values, list):
        raise Problem(HTTPStatus.BAD_REQUEST, "invalid-parameter", f"`{name}` is given more than once.")
    return values or None


def _time(req: Request, name: str) -> datetime | None:
    text = _param(req, name)
    if text is None:
        return None
    try:
        # A `+` in a query means a space; in a time it can only have been meant as one.
        value = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Problem(HTTPStatus.BAD_REQUEST, "invalid-time", f"`{name}` is not an ISO 8601 time.") from None


def _limit(req: Request) -> int:
    text = _param(req, "limit")
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_LIMIT):
        raise Problem(HTTPStatus.BAD_REQUEST, "invalid-limit", f"`limit` is a number from 1 to {MAX_LIMIT}.")
    return int(text)


def plain(resp: Response, body: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
    """A small JSON answer."""
    resp.status = status
    resp.content_type = "application/json"
    resp.data = _encode(body)
