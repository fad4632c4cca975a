"""A cutover's timeline as text: time goes down, a column a lane. It has an order and no scale."""

from __future__ import annotations

from engine.planning.timeline import LANES, Timeline
from engine.render.paint import Paint

_SIGN = {"backfill": "█", "stream": "█", "waiting": "░", "log": "│"}
_ROLE = {"backfill": "info", "stream": "good", "waiting": "warn", "log": "dim"}


def render(line: Timeline, paint: Paint) -> str:
    """One line an instant, with what covers the time from it to the next."""
    head = "  ".join(lane for lane, _ in LANES)
    lines = [f"{paint(line.environment, 'strong')}  generation {line.generation}, {line.group}", "",
             paint(f"{'':<22}  {head}", "dim")]

    def row(at: str, lanes: frozenset[str], what: str) -> str:
        cells = "  ".join(paint(_SIGN[lane].center(len(lane)), _ROLE[lane]) if lane in lanes else " " * len(lane)
                          for lane, _ in LANES)
        return f"{at:<22}  {cells}  {what}".rstrip()

    lines.append(row("before", line.before, ""))
    lines += [row(f"{m.at:%Y-%m-%dT%H:%M:%SZ}", m.lanes, m.what) for m in line.marks]
    lines += ["", *(paint(f"{_SIGN[lane]} {lane}: {what}", "dim") for lane, what in LANES)]
    return "\n".join(lines) + "\n"
