"""Colour, where the reader's terminal shows it: the one palette of all text output."""

from __future__ import annotations

from collections.abc import Callable

import click

from engine.model.change import Action

Paint = Callable[[str, str], str]
"""(text, role) → text as it is to be shown."""

_ROLES = {"good": {"fg": "green"}, "bad": {"fg": "red", "bold": True}, "warn": {"fg": "yellow"},
          "dim": {"dim": True}, "strong": {"bold": True}, "info": {"fg": "cyan"}}

MARKS = {Action.NOOP: (" ", "dim"), Action.CREATE: ("+", "good"), Action.UPDATE: ("~", "warn"),
         Action.REPLACE: ("±", "bad"), Action.DELETE: ("-", "bad"), Action.RUN: (">", "info"),
         Action.WAIT: ("?", "warn")}
"""The sign and the role of each action, the same in every text."""


def plain(text: str, role: str) -> str:
    """No colour."""
    return text


def coloured(text: str, role: str) -> str:
    """ANSI colour."""
    return click.style(text, **_ROLES.get(role, {}))  # type: ignore[arg-type]
