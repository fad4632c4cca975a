"""A live view of an apply on a terminal: what runs and how far it is, what waits and for what."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import islice
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from engine.model.address import Address
from engine.model.duration import spoken
from engine.model.event import Event, StepFailed, StepProgress, StepSkipped, StepStarted, StepSucceeded
from engine.providers.base import Progress
from engine.render import events
from engine.render.paint import coloured

_WAITING_SHOWN = 6


class LiveView:
    """Finished steps scroll by as lines; what runs and waits is redrawn below them."""

    def __init__(self, waits: Mapping[Address, frozenset[Address]], *, colour: bool) -> None:
        self._console = Console(no_color=not colour, highlight=False)
        self._waits = dict(sorted(waits.items()))
        self._done: set[Address] = set()
        self._running: dict[Address, tuple[float, StepProgress | None]] = {}
        self._live = Live(console=self._console, get_renderable=self._draw, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._live.__exit__(kind, value, trace)

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        match event:
            case StepStarted(address=address):
                self._waits.pop(address, None)
                self._running[address] = (time.monotonic(), None)
                return
            case StepProgress(address=address):
                if address in self._running:
                    self._running[address] = (self._running[address][0], event)
                return
            case StepSucceeded(address=address):
                self._running.pop(address, None)
                self._done.add(address)
            case StepFailed(address=address) | StepSkipped(address=address):
                self._running.pop(address, None)
                self._waits.pop(address, None)
            case _:
                pass
        line = events.as_line(event, coloured)
        if line is not None:
            self._console.print(Text.from_ansi(line))

    def _draw(self) -> Text:
        lines = []
        for address, (since, progress) in sorted(self._running.items()):
            took = spoken(time.monotonic() - since)
            lines.append(f"  {coloured('run', 'info')}    {address} {took}{_progress(progress)}")
        for address in islice(self._waits, _WAITING_SHOWN):
            waits = ", ".join(map(str, sorted(self._waits[address] - self._done)))
            lines.append(coloured(f"  wait   {address} for {waits}", "dim"))
        more = len(self._waits) - _WAITING_SHOWN
        if more > 0:
            lines.append(coloured(f"  wait   {more} more", "dim"))
        return Text.from_ansi("\n".join(lines))


def _progress(progress: StepProgress | None) -> str:
    words = progress_words(progress) if progress else ""
    return f"  {words}" if words else ""


def progress_words(progress: StepProgress | Progress) -> str:
    """`1,000 of 5,000 rows · 3 s left · its note`, as far as it is known."""
    parts = []
    if progress.done is not None:
        of = f" of {progress.total:,}" if progress.total else ""
        parts.append(f"{progress.done:,}{of} {progress.unit}")
    if progress.eta_s is not None:
        parts.append(f"{spoken(progress.eta_s)} left")
    if progress.note:
        parts.append(progress.note)
    return " · ".join(parts)
