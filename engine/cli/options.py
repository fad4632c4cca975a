"""What an option's text may be and what it means: a duration, a time, a place in the log.

Owns the parameter types. Must not: read a manifest or the environment.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from engine.cli.common import F, now
from engine.model.manifest import Reprocess


class Duration(click.ParamType):
    """An option's duration, such as `24h`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The duration that the text stands for."""
        from engine.model.duration import written

        if isinstance(value, timedelta):
            return value
        try:
            return written(str(value))
        except (ValueError, OverflowError) as problem:
            self.fail(str(problem), param, ctx)


class Moment(click.ParamType):
    """A time with its zone, or how long ago."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """An aware UTC time."""
        from engine.model.duration import written

        if isinstance(value, datetime):
            return value
        text = str(value)
        try:
            return now() - written(text)
        except OverflowError:
            self.fail(f"{text!r} is longer ago than any calendar goes", param, ctx)
        except ValueError:
            pass
        try:
            at = datetime.fromisoformat(text)
            if at.tzinfo is not None:
                return at.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        self.fail(f"{text!r} is no time; write 2026-11-23T09:30:00Z, or how long ago, such as 2h", param, ctx)


class FromWhere(click.ParamType):
    """An option's place in the log: a time, or offsets."""

    name = "time or offsets"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Reprocess:
        """What shall be read again."""
        if isinstance(value, Reprocess):
            return value
        try:
            return Reprocess.parse(str(value))
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


def reprocess_option(command: F) -> F:
    """`--reprocess TIME|topic:partition=offset,...`."""
    return click.option("--reprocess", type=FromWhere(), metavar="TIME|TOPIC:PARTITION=OFFSET,...",
                        help="Have the consumer's group read its log again, from then or there on.")(command)
