"""HTTPS on loopback: a listener turns connections into `Request`s for one function, and its `Answer` into bytes.

Knows nothing of Azure. The protocol is the standard library's.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Request:
    """`query` has lower-case names; `headers` too."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = field(repr=False)
    host: str = ""
    fault: Any = None
    caller: Any = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.target)
        self.path = parts.path
        self.query = {name.lower(): value for name, value in parse_qsl(parts.query, keep_blank_values=True)}

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))


@dataclass
class Answer:
    """`body`: JSON where it is no bytes; None is an empty body; an iterator of bytes is streamed."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Reset(Exception):
    """The connection is to be reset instead of answered."""


Handle = Callable[[Request], Answer]


class Listener:
    """Serves on one address from `start` to `close`; a port of 0 is any free one."""

    def __init__(self, handle: Handle, context: ssl.SSLContext | None, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = _Server((host, port), _handler(handle))
        self._server.context = context
        self.host, self.port = host, self._server.server_address[1]
        self.url = f"{'https' if context else 'http'}://{host}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    context: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's own thread: a slow handshake holds up nobody else.
        if self.context is not None:
            request.settimeout(30)
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except (OSError, ssl.SSLError):
                return
        try:
            super().finish_request(request, client_address)
        finally:
            request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is none of the tests' business."""


def _handler(handle: Handle) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def log_message(self, format: str, *args: Any) -> None:
            """The record keeps what was asked."""

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                answer = handle(Request(self.command, self.path, headers, body, host=headers.get("host", "")))
            except Reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                # The file objects hold the socket open as well.
                self.close_connection = True
                socket.socket.close(self.connection)
                return
            self._send(answer)

        def _stream(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Transfer-Encoding": "chunked"}.items():
                self.send_header(name, value)
            self.end_headers()
            for part in answer.body:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()

        def _send(self, answer: Answer) -> None:
            if isinstance(answer.body, Iterator):
                self._stream(answer)
                return
            raw = answer.body is None or isinstance(answer.body, bytes)
            data = (answer.body or b"") if raw else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if not raw:
                self.send_header("Content-Type", "application/json; charset=utf-8")
            if answer.status != 204:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD" and answer.status != 204:
                self.wfile.write(data)
            self.wfile.flush()

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = _serve

    return Handler
