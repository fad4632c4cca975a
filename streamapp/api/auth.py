"""Bearer credentials: who asks. Owns the comparison; must not log or return a token.

Tokens are compared by digest and in constant time, and every one is compared with, so that the
time of an answer tells neither a token's prefix nor whose it nearly was. An actor may have several
while one is being rotated.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence


class Credentials:
    """Actors by bearer token; ``tokens`` are the ones that are accepted, by actor."""

    def __init__(self, tokens: Mapping[str, Sequence[str]]) -> None:
        self._digests = [(actor, _digest(token.encode())) for actor, accepted in tokens.items() for token in accepted]

    def actor(self, authorization: str | None) -> str | None:
        """The actor of an ``Authorization`` header, or None where it names nobody."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        # Headers arrive as Latin-1; its bytes are what the client sent.
        given = _digest(token.strip().encode("latin-1", "replace"))
        found = None
        for actor, digest in self._digests:
            if hmac.compare_digest(digest, given):
                found = actor
        return found


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
