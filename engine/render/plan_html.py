"""A plan as one HTML file: no network, no script, light and dark, usable by keyboard alone.

The page's content security policy lets in nothing but its own styles, by their digests.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from html import escape

from engine.model.diagnostic import Diagnostic, Severity
from engine.model.plan import Plan
from engine.model.step import Step
from engine.model.verdict import Outcome, Verdict
from engine.render import graph_svg
from engine.render.html_style import STYLE
from engine.render.paint import MARKS, Paint
from engine.render.reading import Block, Reading, read

PICTURED = 200
"""How many steps a picture can show and still be read."""

_FORCED = '<strong class="bad">forces replacement</strong> '
_ANSWERS = {Outcome.PASS: ("ok", "good"), Outcome.WARN: ("warn", "warn"), Outcome.BLOCK: ("blocked", "bad")}


def render(plan: Plan, paint: Paint) -> str:
    """The whole document; it has colours of its own, so `paint` is not used."""
    reading = read(plan)
    body = "\n".join(_body(plan, reading))
    styles = [STYLE, *re.findall(r"<style>(.*?)</style>", body, flags=re.S)]
    allowed = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in styles)
    return (f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src {allowed}; '
            f'base-uri \'none\'; form-action \'none\'">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta name="color-scheme" content="light dark">\n'
            f"<title>{escape(reading.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n")


def _body(plan: Plan, reading: Reading) -> Iterator[str]:
    yield '<a class="skip" href="#changes">To the changes</a>'
    yield f"<header><h1>{escape(reading.title)}</h1><p>{escape(reading.about)}</p>"
    yield f'<p class="summary">{escape(reading.summary)}</p><p class="dim">{escape(reading.made)}</p></header>'
    yield "<main>"
    if reading.destroyed:
        links = "".join(f'<li><a href="#{escape(str(a))}">{escape(str(a))}</a></li>' for a in reading.destroyed)
        yield (f'<section class="destroys" aria-labelledby="destroys"><h2 id="destroys">Destroys '
               f"{len(reading.destroyed)}</h2><ul>{links}</ul></section>")
    if reading.refusal:
        yield f'<p class="refusal">{escape(reading.refusal)}</p>'
    yield from (f'<p class="notice">{escape(notice)}</p>' for notice in reading.notices)
    yield from _roads(reading)
    if reading.drift:
        lines = "".join(f"<li>{escape(line)}</li>" for line in reading.drift)
        yield ('<section class="finding" aria-labelledby="drift"><h2 id="drift">Changed outside since it was last '
               f"applied</h2><ul>{lines}</ul></section>")
    yield from map(_diagnostic, reading.diagnostics)
    yield '<section aria-labelledby="changes"><h2 id="changes" tabindex="-1">Changes</h2>'
    if not plan.pending:
        yield f"<p>{escape(reading.summary)}</p>"
    for section in reading.sections:
        if section.title:
            yield f"<h3>{escape(section.title)}</h3>"
        yield from (_block(block, section.prefix) for block in section.blocks)
    yield from (f'<p class="dim">{escape(note)}</p>' for note in reading.footnotes)
    yield "</section>"
    yield '<section aria-labelledby="guardrails"><h2 id="guardrails">Guardrails</h2><div class="wide"><table>'
    yield '<thead><tr><th scope="col">answer</th><th scope="col">rule</th><th scope="col">guardrail</th>'
    yield '<th scope="col">evidence</th></tr></thead><tbody>'
    yield from map(_verdict, reading.verdicts)
    yield "</tbody></table></div></section>"
    yield from _picture(plan)
    yield "</main>"


def _roads(reading: Reading) -> Iterator[str]:
    if not reading.roads:
        return
    yield '<section aria-labelledby="roads"><h2 id="roads">The road back</h2><div class="wide"><table><thead><tr>'
    yield "".join(f'<th scope="col">{name}</th>' for name in ("store", "holds", "comes back by", "before"))
    yield "</tr></thead><tbody>"
    for road in reading.roads:
        lost = f'<br><strong class="bad">No way back:</strong> {escape(road.missing)}' if road.missing else ""
        yield (f'<tr><th scope="row">{escape(str(road.store))}</th><td>{escape(road.holds)}</td>'
               f"<td>{escape(road.how)}{lost}</td><td>{escape(road.took)}</td></tr>")
    yield "</tbody></table></div></section>"


def _diagnostic(found: Diagnostic) -> str:
    role = "bad" if found.severity is Severity.ERROR else "warn"
    place = str(found.position or found.address or "")
    rule = f" [{escape(found.rule)}]" if found.rule else ""
    parts = [f'<p><strong class="{role}">{found.severity.value}:</strong> {escape(found.summary)} '
             f'<span class="dim">({escape(found.code)}){rule}</span></p>']
    if place:
        parts.append(f'<p class="dim">at {escape(place)}</p>')
    if found.detail:
        parts.append(f"<pre>{escape(found.detail)}</pre>")
    if found.mend:
        parts.append(f"<p>mend: {escape(found.mend)}</p>")
    return f'<section class="finding {role}">{"".join(parts)}</section>'


def _block(block: Block, prefix: str) -> str:
    named = f' <span class="dim">{escape(block.named)}</span>' if block.named else ""
    parts = [f'<details id="{escape(prefix + str(block.address))}" open><summary><span class="mark {block.role}">'
             f"{escape(block.mark)}</span> <code>{escape(str(block.address))}</code> "
             f'<span class="{block.role}">{block.action.value}</span>{named}</summary>']
    if block.values:
        rows = "".join(
            f'<tr><th scope="row">{escape(v.path)}</th><td class="before">{escape(v.before)}</td>'
            f'<td class="after">{escape(v.after)}</td><td>'
            f"{_FORCED if v.replaces else ''}"
            f'<span class="dim">{"declared at " + escape(v.place) if v.place else ""}</span></td></tr>'
            for v in block.values)
        parts.append('<div class="wide"><table><thead><tr><th scope="col">value</th><th scope="col">before</th>'
                     f'<th scope="col">after</th><th scope="col">where</th></tr></thead><tbody>{rows}</tbody>'
                     "</table></div>")
    lines = [escape(fact) for fact in block.facts]
    lines += [f'<span class="dim">why:</span> {escape(w.text)}'
              + (f' <span class="dim">{escape(w.place)}</span>' if w.place else "") for w in block.reasons]
    if block.leads_to:
        lines.append('<span class="dim">leads to:</span> ' + ", ".join(
            f'<a href="#{escape(prefix + str(a))}">{escape(str(a))}</a>' for a in block.leads_to))
    if lines:
        parts.append(f"<ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul>")
    parts += [f"<details><summary>{escape(s.title)}</summary><pre>{escape(s.text)}</pre></details>"
              for s in block.scripts]
    return "".join([*parts, "</details>"])


def _verdict(verdict: Verdict) -> str:
    word, role = _ANSWERS[verdict.outcome]
    where = f"<code>{escape(str(verdict.address))}</code> " if verdict.address else ""
    return (f'<tr><td><strong class="{role}">{word}</strong></td><td>{escape(verdict.rule)}</td>'
            f"<td>{escape(verdict.name)}</td><td>{where}{escape(verdict.evidence)}</td></tr>")


def _picture(plan: Plan) -> Iterator[str]:
    """The steps in the order in which they are done: all of them, or where those are too many, what changes."""
    yield '<section aria-labelledby="graph"><h2 id="graph">Order</h2>'
    for place, phase in enumerate(plan.phases()):
        yield from _phase(phase, "then-tip" if place else "tip")
    yield "</section>"


def _phase(plan: Plan, tip: str) -> Iterator[str]:
    marks = {c.address: MARKS[c.action][0] for c in plan.pending}
    shown = {c.address: c.waits_for for c in plan.changes}
    if len(shown) > PICTURED:
        shown = plan.waits()
        yield f'<p class="dim">{len(plan.changes) - len(shown)} unchanged steps are left out of the picture.</p>'
    if len(shown) > PICTURED:
        yield f'<p class="dim">{len(shown)} steps are too many for a picture.</p>'
        return
    ordered = [c.address for c in plan.changes if c.address in shown]
    steps = [Step(a, {}, frozenset(d for d in shown[a] if d in shown)) for a in ordered]
    picture = graph_svg.render(steps, marks).replace('id="tip"', f'id="{tip}"').replace("#tip", f"#{tip}")
    yield f'<div class="wide picture" tabindex="0">{picture}</div>'
