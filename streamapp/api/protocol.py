"""The wire's limits: what is refused before it is a request.

Owns: how long a request's URL, head and body may be, how long it may take to arrive, and how such a
refusal looks. Must not: know a path or a credential.

uvicorn reads a head of any length and waits for it for ever, so a few slow or endless requests would
hold its memory and its connections. Here a request that is not whole in time is answered 408, a longer
URL 414, longer header fields 431, a longer body 413, and the connection is closed. Nothing of these
reaches the application: nothing was read, so there is no audit row.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from streamapp.api.problems import MEDIA_TYPE, body
from streamapp.settings import Limits

_CODES = {408: "request-timeout", 413: "body-too-long", 414: "url-too-long", 431: "headers-too-long"}


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol over httptools with ``limits``; ``limited`` makes the class that uvicorn takes."""

    limits: Limits

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Between requests `_whole` holds; `_began` tells whether the next one has begun to arrive.
        self._whole = self._began = False
        self._head_done = self._started = self._refused = False
        self._open_bytes = self._body_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection that never asks is held no longer than one that asks slowly."""
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the connection is the end of waiting."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; afterwards bound what it still keeps to itself, and how long."""
        if self._refused or self.transport.is_closing():
            return
        was_open = self._began and not self._head_done
        super().data_received(data)
        if self._refused or self.transport.is_closing():
            return
        if self._began and not self._head_done:
            # The first piece may hold the end of the request before, so it is not counted: at most one read too much.
            self._open_bytes = self._open_bytes + len(data) if was_open else 0
            if self._open_bytes > self.limits.url_bytes + self.limits.header_bytes:
                self._refuse(431 if self.headers else 414)
                return
        if not self._whole or not self._answering():
            self._arm()

    # The parser's callbacks. After a refusal it may go on with what else came in the same piece.

    def on_message_begin(self) -> None:
        """A request's first byte."""
        self._whole, self._began = False, True
        self._head_done = self._started = False
        self._open_bytes = self._body_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole: judge it before anything is started for it."""
        self._head_done = True
        if self._refused:
            return
        if len(self.url) > self.limits.url_bytes:
            self._refuse(414)
        elif sum(len(name) + len(value) + 4 for name, value in self.headers) > self.limits.header_bytes:
            self._refuse(431)
        elif self._announced() > self.limits.body_bytes:
            self._refuse(413)
        else:
            self._started = True
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body, which may have been announced by no length."""
        if self._refused:
            return
        self._body_bytes += len(body)
        if self._body_bytes > self.limits.body_bytes:
            self._refuse(413)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole; from here on its time is ours."""
        self._whole, self._began = True, False
        self._disarm()
        if not self._refused:
            super().on_message_complete()

    def _announced(self) -> int:
        # The parser has refused what is no number, and two that differ.
        return max((int(value) for name, value in self.headers if name == b"content-length"), default=0)

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.limits.request_s, self._late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if self._began:
            self._refuse(408)
        elif not self._answering():
            self.transport.close()

    def _refuse(self, status: int) -> None:
        """Answer where this request has no answer yet and no other's is under way, and close."""
        self._refused = True
        self._disarm()
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        if self._started:
            # Its body turned out too long or too slow while its look-up ran or was answered.
            silent = self.cycle.response_started or bool(self.pipeline)
            self.cycle.disconnected = True
        else:
            silent = self._answering()
        if not silent:
            self.transport.write(self._refusal(status))
        self.transport.close()

    def _refusal(self, status: int) -> bytes:
        content = body(status, _CODES[status], HTTPStatus(status).description)
        headers = [
            *self.server_state.default_headers, (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(content)).encode()), (b"connection", b"close"),
        ]  # fmt: skip
        return b"".join([STATUS_LINE[status], *(b"%s: %s\r\n" % header for header in headers), b"\r\n", content])


def limited(limits: Limits) -> type[asyncio.Protocol]:
    """The protocol class with these limits, as ``uvicorn.Config(http=…)`` takes it."""
    return type("LimitedProtocol", (LimitedProtocol,), {"limits": limits})
