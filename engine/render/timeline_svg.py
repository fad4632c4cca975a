"""A cutover's timeline as one SVG picture, drawn without any tool: a bar a lane, light and dark.

Time goes to the right, from one instant to the next: it has an order and no scale.
"""

from __future__ import annotations

from html import escape

from engine.planning.timeline import LANES, Lane, Timeline
from engine.render.paint import Paint

_LEFT, _TOP, _STEP, _BAR, _GAP, _LINE, _PAD = 190, 62, 110, 20, 14, 20, 20
_COLOURS = {"backfill": ("#23897a", "#2fa896"), "stream": ("#3f74b5", "#5b8fd0"), "waiting": ("#d9a741", "#c89632"),
            "log": ("#9aa4b1", "#66707d")}


def _style() -> str:
    light = "".join(f".{lane} {{ fill: {fill}; }}\n" for lane, (fill, _) in _COLOURS.items())
    dark = "".join(f".{lane} {{ fill: {fill}; }}\n" for lane, (_, fill) in _COLOURS.items())
    return f"""
svg {{ font: 12px ui-sans-serif, system-ui, sans-serif; }}
text {{ fill: #1d2530; dominant-baseline: central; }}
.title {{ font-weight: 600; font-size: 14px; }} .soft {{ fill: #5d6877; }} .number {{ text-anchor: middle; }}
.tick {{ stroke: #8a94a3; stroke-width: 1; stroke-dasharray: 3 3; }} .ground {{ fill: #ffffff; }}
{light}@media (prefers-color-scheme: dark) {{
.ground {{ fill: #12161c; }} text {{ fill: #e7ebf1; }} .soft {{ fill: #9aa4b1; }}
{dark}}}
"""


def render(line: Timeline, paint: Paint) -> str:
    """A standalone SVG document; numbered instants, told below the bars."""
    bottom = _TOP + len(LANES) * (_BAR + _GAP)
    # A label is as wide as its text at most; 7 px a character is wider than any.
    widest = max((7 * len(f"00  0000-00-00T00:00:00Z  {m.what}") for m in line.marks), default=0)
    width = max(_LEFT + (len(line.marks) + 1) * _STEP, widest) + 2 * _PAD
    height = bottom + 30 + len(line.marks) * _LINE + _PAD
    title = f"{line.environment}: generation {line.generation}, {line.group}"
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
             f'height="{height}" role="img" aria-label="{escape(title)}">', f"<style>{_style()}</style>",
             f'<rect class="ground" width="{width}" height="{height}"/>',
             f'<text class="title" x="{_PAD}" y="{_PAD}">{escape(title)}</text>']
    for row, (lane, what) in enumerate(LANES):
        y = _TOP + row * (_BAR + _GAP)
        parts.append(f'<text x="{_PAD}" y="{y + _BAR / 2:.0f}">{escape(what)}</text>')
        parts += [f'<rect class="{lane}" x="{x}" y="{y}" width="{w}" height="{_BAR}"/>'
                  for x, w in _bars(line, lane)]
    for number, mark in enumerate(line.marks, 1):
        x = _LEFT + number * _STEP
        parts.append(f'<line class="tick" x1="{x}" y1="{_TOP - 8}" x2="{x}" y2="{bottom}"/>'
                     f'<text class="number" x="{x}" y="{_TOP - 18}">{number}</text>'
                     f'<text x="{_PAD}" y="{bottom + 20 + number * _LINE}">{number}&#160; '
                     f'<tspan class="soft">{mark.at:%Y-%m-%dT%H:%M:%SZ}</tspan>&#160; {escape(mark.what)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bars(line: Timeline, lane: Lane) -> list[tuple[int, int]]:
    """(x, width) of each unbroken stretch of a lane."""
    covered = [lane in line.before, *(lane in m.lanes for m in line.marks)]
    bars: list[tuple[int, int]] = []
    for slot, on in enumerate(covered):
        if not on:
            continue
        x = _LEFT + slot * _STEP
        if bars and sum(bars[-1]) == x:
            bars[-1] = (bars[-1][0], bars[-1][1] + _STEP)
        else:
            bars.append((x, _STEP))
    return bars
