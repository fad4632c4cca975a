"""TCP gateways before real servers, on an event loop of their own: the real ports, TLS, and who is let in.

Owns the loop's thread and the sockets. What a connection may do is its session's; see `postgres` and `kafka`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Awaitable, Callable

Session = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_CHUNK = 1 << 18


class Loop:
    """One thread that runs the gateways of a server."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="gateways")
        self._thread.start()

    def open(self, host: str, port: int, session: Session, context: ssl.SSLContext | None = None) -> Gateway:
        """Serve on an address until the gateway is closed."""
        gateway = Gateway(self._loop, session)
        asyncio.run_coroutine_threadsafe(gateway.start(host, port, context), self._loop).result(30)
        return gateway

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class Gateway:
    """One listening address and its connections."""

    def __init__(self, loop: asyncio.AbstractEventLoop, session: Session) -> None:
        self._loop, self._session = loop, session
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self._server = await asyncio.start_server(self._serve, host, port, ssl=context, backlog=128, limit=_CHUNK)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError, ssl.SSLError):
                await self._session(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(30)

    async def _close(self) -> None:
        self._server.close()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes from one to the other until one of them ends."""
    with contextlib.suppress(OSError, EOFError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


async def first_of(*ways: Awaitable[None]) -> None:
    """Run all until one ends; the others are ended then."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
