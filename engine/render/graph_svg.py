"""A graph as one SVG picture, drawn without any tool: a row for each stage, light and dark.

The boxes of a row are put near the middle of what they depend on, which keeps most arrows short.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from engine.model.address import Address
from engine.model.step import Step

_BOX_W, _BOX_H, _GAP_X, _GAP_Y, _PAD = 176, 30, 18, 40, 20
# Fill and outline of each kind, on light and on dark ground.
_COLOURS = {"resource": ("#e3eefb", "#3f74b5", "#1b2a3d"), "secret": ("#fbf2d8", "#a8811d", "#332a10"),
            "migrate": ("#f0e6fb", "#8050b8", "#2b1f3b"), "cutover": ("#fbe4f0", "#b54585", "#3a1a2c"),
            "backfill": ("#dcf5f0", "#23897a", "#10302b"), "app": ("#e2f6e0", "#3f8f39", "#173016"),
            "smoke": ("#fdeada", "#b8692a", "#38220f"), "gate": ("#fbe3e3", "#b54545", "#3a1a1a")}
_OTHER = ("#eceff3", "#66707d", "#262c34")


def _style() -> str:
    kinds = {**_COLOURS, "other": _OTHER}
    light = "".join(f".{kind} {{ fill: {fill}; stroke: {line}; }}\n" for kind, (fill, line, _) in kinds.items())
    dark = "".join(f".{kind} {{ fill: {fill}; }}\n" for kind, (_, _, fill) in kinds.items())
    return (f"""
svg {{ font: 12px ui-sans-serif, system-ui, sans-serif; }}
.edge {{ fill: none; stroke: #8a94a3; stroke-width: 1.2; }}
.name {{ fill: #1d2530; text-anchor: middle; dominant-baseline: central; }}
.ground {{ fill: #ffffff; }}
.still, .still + .name {{ opacity: 0.45; }}
{light}@media (prefers-color-scheme: dark) {{
.ground {{ fill: #12161c; }} .name {{ fill: #e7ebf1; }} .edge {{ stroke: #5d6877; }}
{dark}}}
""")


def render(steps: Iterable[Step], marks: Mapping[Address, str] | None = None) -> str:
    """A standalone SVG document. With `marks`, each marked step shows its sign and leads to the page's `#<address>`,
    and the others stand back."""
    listed = list(steps)
    places, arrows = laid_out(listed)
    stages = max((stage for stage, _ in places.values()), default=0) + 1
    columns = max((column for _, column in places.values()), default=0.0) + 1
    width = int(columns * (_BOX_W + _GAP_X)) - _GAP_X + 2 * _PAD
    height = stages * (_BOX_H + _GAP_Y) - _GAP_Y + 2 * _PAD
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
             f'height="{height}" role="img" aria-label="Steps and their order">', f"<style>{_style()}</style>",
             f'<rect class="ground" width="{width}" height="{height}"/>',
             '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
             'orient="auto"><path d="M0 0 8 4 0 8z" fill="#8a94a3"/></marker></defs>']
    parts += [_edge(places[before], places[after]) for before, after in arrows]
    parts += [_box(step.address, places[step.address], marks) for step in listed]
    return "\n".join([*parts, "</svg>"]) + "\n"


def laid_out(steps: list[Step]) -> tuple[dict[Address, tuple[int, float]], list[tuple[Address, Address]]]:
    """(stage, column) of each step, and the arrows from what it depends on that say something new."""
    places, by_address = _places(steps), {s.address: s for s in steps}
    return places, [(d, step.address) for step in steps for d in sorted(step.depends_on)
                    if not _implied(d, step, by_address, places)]


def _implied(dependency: Address, step: Step, by_address: Mapping[Address, Step],
             places: Mapping[Address, tuple[int, float]]) -> bool:
    """Whether another dependency of the step already depends on this one, so that the arrow would only clutter."""
    stage, _ = places[dependency]
    seen: set[Address] = set()
    stack = [d for d in step.depends_on if d != dependency]
    while stack:
        for further in by_address[stack.pop()].depends_on - seen:
            if further == dependency:
                return True
            seen.add(further)
            if places[further][0] > stage:  # What stands no lower cannot depend on it.
                stack.append(further)
    return False


def _places(steps: list[Step]) -> dict[Address, tuple[int, float]]:
    """(stage, column) of each step; boxes of one stage never touch, and the widest stage begins at column 0."""
    stage: dict[Address, int] = {}
    for step in steps:
        stage[step.address] = 1 + max((stage[d] for d in step.depends_on), default=-1)
    column: dict[Address, float] = {}
    rows: dict[int, list[Step]] = {}
    for step in steps:
        rows.setdefault(stage[step.address], []).append(step)
    for _, row in sorted(rows.items()):
        wanted = []
        for step in row:
            above = [column[d] for d in step.depends_on]
            wanted.append((sum(above) / len(above) if above else 0.0, step.address))
        first = sum(w for w, _ in wanted) / len(wanted) - (len(wanted) - 1) / 2
        for place, (_, address) in enumerate(sorted(wanted)):
            column[address] = first + place
    left = min(column.values(), default=0.0)
    return {address: (stage[address], column[address] - left) for address in stage}


def _corner(place: tuple[int, float]) -> tuple[float, float]:
    return _PAD + place[1] * (_BOX_W + _GAP_X), _PAD + place[0] * (_BOX_H + _GAP_Y)


def _edge(start: tuple[int, float], end: tuple[int, float]) -> str:
    x1, y1 = _corner(start)
    x2, y2 = _corner(end)
    x1, y1, x2 = x1 + _BOX_W / 2, y1 + _BOX_H, x2 + _BOX_W / 2
    bend = _GAP_Y * (0.6 if end[0] - start[0] == 1 else 1.4)
    return (f'<path class="edge" d="M{x1:.0f} {y1:.0f} C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} '
            f'{x2:.0f} {y2:.0f}" marker-end="url(#tip)"/>')


def _box(address: Address, place: tuple[int, float], marks: Mapping[Address, str] | None) -> str:
    x, y = _corner(place)
    kind = address.kind if address.kind in _COLOURS else "other"
    if marks is not None and address in marks:
        return (f'<a href="#{escape(str(address))}"><rect class="{kind}" x="{x:.0f}" y="{y:.0f}" width="{_BOX_W}" '
                f'height="{_BOX_H}" rx="6"/><text class="name" x="{x + _BOX_W / 2:.0f}" y="{y + _BOX_H / 2:.0f}">'
                f'{escape(marks[address])} {escape(str(address))}</text></a>')
    if marks is not None:
        kind += " still"
    return (f'<rect class="{kind}" x="{x:.0f}" y="{y:.0f}" width="{_BOX_W}" height="{_BOX_H}" rx="6"/>'
            f'<text class="name" x="{x + _BOX_W / 2:.0f}" y="{y + _BOX_H / 2:.0f}">{escape(str(address))}</text>')
