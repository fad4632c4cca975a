"""One bounded GET over HTTPS to something of the environment's own."""

from __future__ import annotations

import ssl
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen


def get(url: str, tls: ssl.SSLContext, timeout_s: float = 5.0) -> tuple[int, str] | None:
    """(status, body), or None where nothing answers in time."""
    try:
        with urlopen(Request(url), timeout=timeout_s, context=tls) as answer:
            return int(answer.status), answer.read().decode(errors="replace")
    except HTTPError as problem:
        return problem.code, problem.read().decode(errors="replace")
    except (OSError, HTTPException, ValueError):
        return None
