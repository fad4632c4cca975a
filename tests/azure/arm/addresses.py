"""Loopback addresses of their own for servers that keep their real ports (Linux: all of 127.0.0.0/8 is there)."""

from __future__ import annotations

import random
import socket
import threading

_lock = threading.Lock()
_given: set[str] = set()


def fresh(*ports: int) -> str:
    """An address on which none of the ports is in use."""
    with _lock:
        while True:
            host = f"127.{random.randint(16, 250)}.{random.randint(1, 250)}.{random.randint(1, 250)}"
            if host not in _given and all(_free(host, port) for port in ports):
                _given.add(host)
                return host


def _free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
