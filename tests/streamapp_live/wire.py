"""Requests byte by byte: what no well-behaved client library would send.

Owns the sockets it opens. Must not mend what it sends or hide what comes back.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True)
class Answer:
    """One answer as it came; status 0 where the connection was closed without one."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(msgspec.json.decode(self.body)["code"])


def head(path: str | bytes, *headers: str, method: str = "GET") -> bytes:
    """A request's head; `path` goes out as it is."""
    raw = path if isinstance(path, bytes) else path.encode()
    lines = b"".join(header.encode("latin-1") + b"\r\n" for header in ("Host: x", *headers))
    return method.encode() + b" " + raw + b" HTTP/1.1\r\n" + lines + b"\r\n"


def send(port: int, *pieces: bytes, seconds: float = 20.0) -> Answer:
    """Send the pieces and read the first answer to its end."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The server has answered before it had all.
        return _read(connection)


def _read(connection: socket.socket) -> Answer:
    raw = b""
    try:
        while not _whole(raw) and (piece := connection.recv(65_536)):
            raw += piece
    except ConnectionResetError:
        pass
    top, _, content = raw.partition(b"\r\n\r\n")
    if not top:
        return Answer(0, {}, b"")
    first, *lines = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, content)


def _whole(raw: bytes) -> bool:
    top, found, content = raw.partition(b"\r\n\r\n")
    length = top.lower().partition(b"content-length: ")[2].split(b"\r")[0]
    return bool(found) and len(content) >= int(length or 0)
