"""Which database faults pass by themselves, which lie in the data, and which neither.

Owns: the classification by SQLSTATE, and what may be told of a fault. Must not: retry or write.
"""

from __future__ import annotations

import enum

import psycopg
from psycopg import errors


class Fault(enum.Enum):
    """What a fault asks for."""

    #: Try again, later and unchanged: the server is away, or two writers met.
    TRANSIENT = "transient"
    #: The batch contains a row that the database will never take: find it, and put it aside.
    DATA = "data"
    #: Neither helps (a missing table, a missing right, a bug): stop, and say so.
    FATAL = "fatal"


_TRANSIENT_CLASSES = {"08", "53", "57", "58", "40"}
_TRANSIENT_STATES = {"55P03", "55006", "25006", "3D000", "28P01", "28000"}
_DATA_CLASSES = {"22", "23"}


def classify(error: BaseException) -> Fault:
    """Class of an exception that a write raised.

    A wrong password and a missing database count as passing: both are so for a moment while an
    environment is rebuilt or a credential is rotated.
    """
    if not isinstance(error, psycopg.Error):
        return Fault.TRANSIENT if isinstance(error, OSError | TimeoutError) else Fault.FATAL
    state = error.sqlstate
    if state is None:
        # libpq itself: the connection broke, or never came to be.
        return Fault.TRANSIENT if isinstance(error, errors.OperationalError) else Fault.FATAL
    if state[:2] in _TRANSIENT_CLASSES or state in _TRANSIENT_STATES:
        return Fault.TRANSIENT
    return Fault.DATA if state[:2] in _DATA_CLASSES else Fault.FATAL


def plain(error: BaseException) -> str:
    """An error without the row that caused it: DETAIL and CONTEXT may show data."""
    if isinstance(error, psycopg.Error) and error.sqlstate:
        return f"{error.sqlstate} {error.diag.message_primary or type(error).__name__}"
    return type(error).__name__
