"""Kafka's frames, as far as a gateway in front of a broker has to know them: lengths, request headers, and the two
answers in which the gateway has a word: which requests there are, and who is let in.
"""

from __future__ import annotations

import asyncio
import struct

PRODUCE, FETCH, METADATA, COORDINATOR, HANDSHAKE, VERSIONS, CREATE_TOPICS, AUTHENTICATE, CLUSTER = (
    0, 1, 3, 10, 17, 18, 19, 36, 60)


async def read(reader: asyncio.StreamReader) -> bytes:
    """The next frame without its length; EOFError at the end."""
    head = await reader.readexactly(4)
    return await reader.readexactly(struct.unpack(">i", head)[0])


async def write(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(struct.pack(">i", len(frame)))
    writer.write(frame)
    await writer.drain()


def header(frame: bytes) -> tuple[int, int, int]:
    """(api key, version, correlation id) of a request."""
    key, version, correlation = struct.unpack_from(">hhi", frame)
    return key, version, correlation


def body(frame: bytes, flexible: bool) -> bytes:
    """What follows a request's header."""
    length = struct.unpack_from(">h", frame, 8)[0]
    at = 10 + max(length, 0)
    return frame[at + 1:] if flexible else frame[at:]  # A flexible header ends with its (empty) tags.


def with_sasl(answer: bytes, version: int) -> bytes:
    """An ApiVersions answer to which SaslHandshake and SaslAuthenticate are added."""
    if struct.unpack_from(">h", answer, 4)[0] != 0:
        return answer
    added = ((HANDSHAKE, 0, 1), (AUTHENTICATE, 0, 1))
    if version < 3:
        count = struct.unpack_from(">i", answer, 6)[0]
        keys = {struct.unpack_from(">h", answer, 10 + 6 * n)[0] for n in range(count)}
        new = [entry for entry in added if entry[0] not in keys]
        return answer[:6] + struct.pack(">i", count + len(new)) + b"".join(struct.pack(">hhh", *e) for e in new) + \
            answer[10:]
    count = answer[6] - 1
    keys = {struct.unpack_from(">h", answer, 7 + 7 * n)[0] for n in range(count)}
    new = [entry for entry in added if entry[0] not in keys]
    return answer[:6] + bytes([count + 1 + len(new)]) + b"".join(struct.pack(">hhhB", *e, 0) for e in new) + answer[7:]


def mechanism(frame: bytes) -> str:
    """What a SaslHandshake asks for."""
    rest = body(frame, False)
    return rest[2:2 + struct.unpack_from(">h", rest)[0]].decode()


def handshake_answer(correlation: int, known: bool) -> bytes:
    names = ("PLAIN", "OAUTHBEARER")
    listed = b"".join(struct.pack(">h", len(name)) + name.encode() for name in names)
    return struct.pack(">ihi", correlation, 0 if known else 33, len(names)) + listed


def credentials(frame: bytes) -> bytes:
    """The bytes of a SaslAuthenticate, versions 0 and 1."""
    rest = body(frame, False)
    return rest[4:4 + struct.unpack_from(">i", rest)[0]]


def authenticate_answer(correlation: int, version: int, refused: str | None) -> bytes:
    message = struct.pack(">h", -1) if refused is None else struct.pack(">h", len(refused)) + refused.encode()
    lifetime = struct.pack(">q", 0) if version >= 1 else b""
    return struct.pack(">ih", correlation, 58 if refused else 0) + message + struct.pack(">i", 0) + lifetime
