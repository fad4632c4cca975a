"""Renderers: plans, graphs and events as text that people and machines read.

A renderer is one module, `plan_<format>` or `graph_<format>`, with a function `render`; nothing else names it. Must
not: decide, read or write anything; they are given data and return text.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from engine.discovery import module_names


def formats(subject: str) -> list[str]:
    """The formats that there are for `plan` or `graph`, sorted."""
    prefix = f"{subject}_"
    return [name.removeprefix(prefix) for name in module_names(__path__) if name.startswith(prefix)]


def renderer(subject: str, format_: str) -> Callable[..., str]:
    """The `render` function of a format; `formats` says which there are."""
    function: Callable[..., str] = importlib.import_module(f"{__name__}.{subject}_{format_}").render
    return function
