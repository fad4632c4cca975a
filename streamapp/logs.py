"""How the service logs: one event is one line, whatever a client sent.

Owns the format. Must not decide what is logged. Control characters (a client's line break, a terminal's escape, a
traceback's own lines) are written as escapes, so nobody can forge a line or speak to a terminal by an id.
"""

from __future__ import annotations

import logging
import re
import sys

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
# C0 and C1 controls, the separators that some readers break lines at, and what turns the direction of text.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def escaped(text: str) -> str:
    """The text on one line, without a character that is not shown as itself."""
    return _UNSAFE.sub(lambda found: found.group().encode("unicode_escape", "surrogatepass").decode(), text)


class OneLine(logging.Formatter):
    """A record with its traceback as one escaped line."""

    def format(self, record: logging.LogRecord) -> str:
        return escaped(super().format(record))


def to_stderr(level: str) -> None:
    """Log everything of this process from `level` on to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine(FORMAT))
    logging.basicConfig(handlers=[handler], level=level)
