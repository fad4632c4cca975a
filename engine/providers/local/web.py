"""One bounded GET to a process on this machine.

Owns: nothing but the request; proxies and redirects of the user's environment play no part.
"""

from __future__ import annotations

import http.client


def get(port: int, path: str, timeout_s: float = 2.0) -> tuple[int, str] | None:
    """(status, body) of `path` on 127.0.0.1, or None where nothing answers in time."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
