"""A graph as one SVG picture, drawn without any tool: columns by stage, light and dark.

Rows in a column are put near the middle of what they depend on, which keeps most arrows short.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from engine.model.address import Address
from engine.model.step import Step

_BOX_W, _BOX_H, _GAP_X, _GAP_Y, _PAD = 168, 30, 56, 14, 20
_HUES = {"resource": 210, "secret": 45, "migrate": 280, "cutover": 330, "backfill": 170, "app": 130, "smoke": 25,
         "gate": 0}

_STYLE = """
  svg { font: 12px ui-sans-serif, system-ui, sans-serif; }
  .edge { fill: none; stroke: #8a94a3; stroke-width: 1.2; }
  .box { fill: hsl(var(--h) 70% 95%); stroke: hsl(var(--h) 45% 45%); }
  .name { fill: #1d2530; text-anchor: middle; dominant-baseline: central; }
  .ground { fill: #ffffff; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #12161c; } .name { fill: #e7ebf1; } .edge { stroke: #5d6877; }
    .box { fill: hsl(var(--h) 30% 20%); stroke: hsl(var(--h) 45% 60%); }
  }
"""


def render(steps: Iterable[Step]) -> str:
    """A standalone SVG document."""
    listed = list(steps)
    places = _places(listed)
    columns = max((x for x, _ in places.values()), default=0) + 1
    rows = max((y for _, y in places.values()), default=0.0) + 1
    width = columns * _BOX_W + (columns - 1) * _GAP_X + 2 * _PAD
    height = int(rows * (_BOX_H + _GAP_Y)) - _GAP_Y + 2 * _PAD
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
             f'height="{height}" role="img" aria-label="Steps and their order">', f"<style>{_STYLE}</style>",
             f'<rect class="ground" width="{width}" height="{height}"/>',
             '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
             'orient="auto"><path d="M0 0 8 4 0 8z" fill="#8a94a3"/></marker></defs>']
    for step in listed:
        parts += [_edge(places[d], places[step.address]) for d in sorted(step.depends_on)
                  if not _implied(d, step, listed)]
    parts += [_box(step.address, places[step.address]) for step in listed]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _implied(dependency: Address, step: Step, steps: list[Step]) -> bool:
    """Whether another dependency of the step already depends on this one, so that the arrow would only clutter."""
    by_address = {s.address: s for s in steps}
    seen: set[Address] = set()
    stack = [d for d in step.depends_on if d != dependency]
    while stack:
        for further in by_address[stack.pop()].depends_on - seen:
            if further == dependency:
                return True
            seen.add(further)
            stack.append(further)
    return False


def _places(steps: list[Step]) -> dict[Address, tuple[int, float]]:
    """(column, row) of each step; rows of one column never touch."""
    stage: dict[Address, int] = {}
    for step in steps:
        stage[step.address] = 1 + max((stage[d] for d in step.depends_on), default=-1)
    rows: dict[Address, float] = {}
    for column in sorted(set(stage.values())):
        wanted = []
        for step in (s for s in steps if stage[s.address] == column):
            above = [rows[d] for d in step.depends_on]
            wanted.append((sum(above) / len(above) if above else 0.0, step.address))
        middle = sum(w for w, _ in wanted) / len(wanted)
        row = max(0.0, middle - (len(wanted) - 1) / 2)
        for _, address in sorted(wanted):
            rows[address] = row
            row += 1
    return {address: (stage[address], rows[address]) for address in stage}


def _corner(place: tuple[int, float]) -> tuple[float, float]:
    return _PAD + place[0] * (_BOX_W + _GAP_X), _PAD + place[1] * (_BOX_H + _GAP_Y)


def _edge(start: tuple[int, float], end: tuple[int, float]) -> str:
    x1, y1 = _corner(start)
    x2, y2 = _corner(end)
    x1, y1, y2 = x1 + _BOX_W, y1 + _BOX_H / 2, y2 + _BOX_H / 2
    bend = (x1 + x2) / 2 if end[0] - start[0] == 1 else x2 - _GAP_X / 2
    return (f'<path class="edge" d="M{x1:.0f} {y1:.0f} C{bend:.0f} {y1:.0f} {bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}" '
            'marker-end="url(#tip)"/>')


def _box(address: Address, place: tuple[int, float]) -> str:
    x, y = _corner(place)
    return (f'<g style="--h:{_HUES.get(address.kind, 220)}"><rect class="box" x="{x:.0f}" y="{y:.0f}" '
            f'width="{_BOX_W}" height="{_BOX_H}" rx="6"/><text class="name" x="{x + _BOX_W / 2:.0f}" '
            f'y="{y + _BOX_H / 2:.0f}">{escape(str(address))}</text></g>')
