"""Which txplan this is; apart, since asking costs more than most commands need."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def tool_version() -> str:
    """The installed version, or `0+unknown` in a source tree that is not installed."""
    try:
        return version("txplan")
    except PackageNotFoundError:
        return "0+unknown"
