"""A TCP proxy that understands where a message ends, and can stop the traffic at the one a fault waits for.

Owns the connections that go through it. Must not change what passes, but for the address in Kafka's answers, which
would lead clients past it. A trap holds its message, and with it that connection, until it is let go; then the
message is lost and the connection with it, as when its sender died.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO

from tests.support.postgres import free_port

HOST = b"127.0.0.1"


@dataclass
class Link:
    """What a protocol remembers of one connection."""

    started: bool = False
    staged: bool = False
    committing: bool = False
    asked: dict[bytes, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Frame:
    """One message: `request` or `response`, what it is, and its bytes as they travel."""

    side: str
    kind: str
    raw: bytes


class PostgresWire:
    """PostgreSQL's protocol 3. Kinds: `copy` begins to stage a batch, `staged` ends it, `commit` asks for its commit,
    `committed` grants it, `rollback` gives it up; only of transactions that staged rows."""

    def read(self, side: str, stream: IO[bytes], link: Link) -> Frame:
        begun = b"" if side == "request" and not link.started else _exactly(stream, 1)
        size = _exactly(stream, 4)
        body = _exactly(stream, int.from_bytes(size, "big") - 4)
        link.started = True
        return Frame(side, self._kind(side, begun, body, link), begun + size + body)

    def _kind(self, side: str, begun: bytes, body: bytes, link: Link) -> str:
        if side == "response":
            if begun == b"C" and link.committing:
                link.committing = link.staged = False
                return "committed"
            return ""
        if begun == b"Q" and body.startswith(b"COPY stage_"):
            return "copy"
        if begun == b"c":
            link.staged = True
            return "staged"
        if begun == b"Q" and body.startswith(b"COMMIT") and link.staged:
            link.committing = True
            return "commit"
        if begun == b"Q" and body.startswith(b"ROLLBACK") and link.staged:
            return "rollback"
        return ""


#: Kafka's API keys: of a commit's request and answer, of a fetch, and of the answers that name brokers.
_COMMITS = {("request", 8): "commit", ("response", 8): "committed"}
_FETCH = 1
_NAMING_BROKERS = frozenset({3, 10, 60})


class KafkaWire:
    """Kafka's protocol. Kinds: `fetched` brings ledger records, `commit` asks for a commit, `committed` grants it."""

    def __init__(self, there: int, here: int) -> None:
        self._there, self._here = (HOST + port.to_bytes(4, "big") for port in (there, here))

    def read(self, side: str, stream: IO[bytes], link: Link) -> Frame:
        size = _exactly(stream, 4)
        body = _exactly(stream, int.from_bytes(size, "big"))
        if side == "request":
            api = int.from_bytes(body[:2], "big")
            link.asked[body[4:8]] = api
        else:
            api = link.asked.pop(body[:4], -1)
            if api in _NAMING_BROKERS:
                body = body.replace(self._there, self._here)
        kind = _COMMITS.get((side, api), "")
        if side == "response" and api == _FETCH and b"tx_id" in body:
            kind = "fetched"
        return Frame(side, kind, size + body)


class Trap:
    """Waits for the first message of a kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.sprung = threading.Event()
        self._let_go = threading.Event()
        self._taken = threading.Lock()

    def takes(self, frame: Frame) -> bool:
        if frame.kind != self.kind or not self._taken.acquire(blocking=False):
            return False
        self.sprung.set()
        self._let_go.wait()
        return True

    def let_go(self) -> None:
        self._let_go.set()


class Proxy:
    """Listens on `port` and forwards to `target`, for as long as its block lasts."""

    def __init__(self, target: int, wire: Callable[[int, int], PostgresWire | KafkaWire]) -> None:
        self.target, self.port = target, free_port()
        self._wire = wire(target, self.port)
        self._trap: Trap | None = None
        self._listener = socket.create_server(("127.0.0.1", self.port))

    @classmethod
    @contextmanager
    def running(cls, target: int, wire: Callable[[int, int], PostgresWire | KafkaWire]) -> Iterator[Proxy]:
        proxy = cls(target, wire)
        threading.Thread(target=proxy._accept, daemon=True).start()
        try:
            yield proxy
        finally:
            # shutdown wakes the thread that waits in accept, which close alone does not.
            with suppress(OSError):
                proxy._listener.shutdown(socket.SHUT_RDWR)
            proxy._listener.close()

    @contextmanager
    def trap(self, kind: str) -> Iterator[Trap]:
        """Hold the first message of this kind; it and its connection are lost at the end of the block."""
        self._trap = trap = Trap(kind)
        try:
            yield trap
        finally:
            self._trap = None
            trap.let_go()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            link = Link()
            for side, source, sink in (("request", client, server), ("response", server, client)):
                threading.Thread(target=self._pump, args=(side, source, sink, link), daemon=True).start()

    def _pump(self, side: str, source: socket.socket, sink: socket.socket, link: Link) -> None:
        stream = source.makefile("rb")
        try:
            while True:
                frame = self._wire.read(side, stream, link)
                trap = self._trap
                if trap is not None and trap.takes(frame):
                    return
                sink.sendall(frame.raw)
        except OSError:
            return
        finally:
            for end in (source, sink):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            stream.close()
            source.close()


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise ConnectionResetError
    return data
