"""Who may ask: a token in each request, a Host that is this server's own, and headers that let in nothing else.

Owns: the token, its comparison, and the security headers of every answer. Must not: log or return the token.

The page itself holds no data and is given to everybody on loopback; it carries the token behind the `#` of its address,
which no browser sends, and shows it as a bearer credential. There is no cookie: a browser would send one to every other
port of this machine too.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any

import falcon
from falcon.asgi import Request, Response

POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'")
HEADERS = {
    "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY", "Cache-Control": "no-store", "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """Middleware in front of every route. `port` is the one that the server listens on, on 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self.token = secrets.token_urlsafe(32)
        self._digest = _digest(self.token.encode())
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def process_request(self, req: Request, resp: Response) -> None:
        """421 where another name than loopback's was asked for (a page elsewhere whose name was bound to this address),
        403 where another page asks, 401 where the token of a question for data is missing or wrong."""
        resp.set_headers(HEADERS)
        if (req.get_header("Host") or "").lower() not in self._hosts:
            raise falcon.HTTPError(falcon.HTTP_421, title="wrong-host")
        origin = req.get_header("Origin")
        if origin is not None and origin.lower().removeprefix("http://") not in self._hosts:
            raise falcon.HTTPError(falcon.HTTP_403, title="wrong-origin")
        if req.path.startswith("/api/") and not self._knows(req.get_header("Authorization")):
            raise falcon.HTTPUnauthorized(title="no-token", challenges=['Bearer realm="txplan ui"'])

    def _knows(self, authorization: str | None) -> bool:
        scheme, _, token = (authorization or "").partition(" ")
        given = _digest(token.strip().encode("latin-1", "replace"))
        return hmac.compare_digest(given, self._digest) and scheme.lower() == "bearer"


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


async def as_json(req: Request, resp: Response, error: falcon.HTTPError, params: dict[str, Any]) -> None:
    """An HTTP error as `{code}`, which says no more than its status does."""
    resp.status = error.status
    resp.set_headers(error.headers or {})
    resp.set_headers(HEADERS)
    resp.media = {"code": (error.title or "").lower().replace(" ", "-")}
