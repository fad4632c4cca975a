"""Errors as JSON problem bodies (RFC 9457), one shape for every status.

Owns: the shape and the mapping of faults to statuses. Must not: put a value of the database, a
credential or a stack trace into a body.
"""

from __future__ import annotations

import logging
from http import HTTPStatus

import asyncpg  # type: ignore[import-untyped]
import falcon
import msgspec
from falcon.asgi import App, Request, Response

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
#: The database is away or overloaded: another try may succeed, so 503 and not 500.
UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)


class Problem(falcon.HTTPError):
    """An expected refusal: status, a stable code, and a sentence for a person."""

    def __init__(self, status: HTTPStatus, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, title=status.phrase, description=detail, code=None, headers=headers)
        self.problem_code = code


def body(status: int, code: str, detail: str | None) -> bytes:
    """The problem body: type, title, status, code and detail."""
    problem = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "code": code}
    return msgspec.json.encode({**problem, "detail": detail} if detail else problem)


async def _http_error(req: Request, resp: Response, error: falcon.HTTPError, params: object) -> None:
    resp.status = error.status
    for name, value in dict(error.headers or {}).items():
        resp.set_header(name, value)
    code = error.problem_code if isinstance(error, Problem) else HTTPStatus(error.status_code).name.lower()
    resp.content_type = MEDIA_TYPE
    resp.data = body(error.status_code, code.replace("_", "-"), error.description)


async def _unavailable(req: Request, resp: Response, error: Exception, params: object) -> None:
    log.warning("the database did not answer: %s", type(error).__name__)
    resp.status = HTTPStatus.SERVICE_UNAVAILABLE
    resp.set_header("Retry-After", "1")
    resp.content_type = MEDIA_TYPE
    resp.data = body(503, "database-unavailable", "The database did not answer; try again.")


async def _unexpected(req: Request, resp: Response, error: Exception, params: object) -> None:
    log.exception("unexpected fault in %s %s", req.method, req.uri_template, exc_info=error)
    resp.status = HTTPStatus.INTERNAL_SERVER_ERROR
    resp.content_type = MEDIA_TYPE
    resp.data = body(500, "unexpected", None)


def install(app: App[Request, Response]) -> None:
    """Give the app these error bodies. Later handlers win in Falcon, so the general one comes first."""
    app.add_error_handler(Exception, _unexpected)
    for fault in UNAVAILABLE:
        app.add_error_handler(fault, _unavailable)
    app.add_error_handler(falcon.HTTPError, _http_error)
