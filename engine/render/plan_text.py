"""A plan as text for a terminal: what changes and why, the guardrails' answers, one line that sums it up."""

from __future__ import annotations

from collections.abc import Iterator

from engine.model.plan import Plan
from engine.model.verdict import Outcome, Verdict
from engine.render import words
from engine.render.paint import Paint
from engine.render.reading import Block, Reading, Road, read

_VERDICTS = {Outcome.PASS: ("ok", "good"), Outcome.WARN: ("warn", "warn"), Outcome.BLOCK: ("BLOCKED", "bad")}
_PAD = " " * 6
_SCRIPT_LINES = 20


def render(plan: Plan, paint: Paint) -> str:
    """The whole plan, ending in a newline."""
    return "\n".join(_lines(read(plan), paint)) + "\n"


def _lines(reading: Reading, paint: Paint) -> Iterator[str]:
    yield f"{paint(reading.title, 'strong')} {reading.about}"
    yield paint(reading.made, "dim")
    if reading.destroyed:
        yield ""
        yield paint(f"DESTROYS {len(reading.destroyed)}: {', '.join(map(str, reading.destroyed))}", "bad")
    for notice in reading.notices:
        yield ""
        yield paint(notice, "warn")
    if reading.drift:
        yield ""
        yield paint("Changed outside since it was last applied", "strong")
        yield from (f"  {paint(line, 'warn')}" for line in reading.drift)
    if reading.roads:
        yield ""
        yield paint("The road back", "strong")
        for road in reading.roads:
            yield from _road(road, paint)
    width = max((len(str(b.address)) for s in reading.sections for b in s.blocks), default=0)
    for section in reading.sections:
        yield from ["", paint(section.title, "strong")] if section.title else [""] if section.blocks else []
        for block in section.blocks:
            yield from _block(block, width, paint)
    for note in reading.footnotes:
        yield paint(f"  {note}", "dim")
    yield ""
    yield paint("Guardrails", "strong")
    for verdict in reading.verdicts:
        yield _verdict(verdict, paint)
    for diagnostic in reading.diagnostics:
        yield ""
        yield words.diagnostic(diagnostic, paint)
    yield ""
    yield paint(reading.summary, "strong")
    if reading.refusal:
        yield paint(reading.refusal, "bad")


def _road(road: Road, paint: Paint) -> Iterator[str]:
    yield f"  {road.store}: {road.holds}"
    yield f"{_PAD}{paint('comes back:', 'dim')} {road.how} ({road.took})"
    if road.missing:
        yield f"{_PAD}{paint('NO WAY BACK:', 'bad')} {road.missing}"


def _block(block: Block, width: int, paint: Paint) -> Iterator[str]:
    alone = len(block.reasons) == 1 and not (block.values or block.facts or block.named or block.leads_to)
    first = f"  {block.reasons[0].text}" if alone else f"  {block.named}" if block.named else ""
    yield (f"  {paint(block.mark, block.role)} {paint(str(block.address).ljust(width), block.role)}  "
           f"{block.action.value}{paint(first, 'dim') if alone else first}")
    for value in block.values:
        forced = paint("  forces replacement", "bad") if value.replaces else ""
        declared = paint(f"  declared at {value.place}", "dim") if value.place else ""
        yield f"{_PAD}{value.path}: {value.before} → {value.after}{forced}{declared}"
    for fact in block.facts:
        yield f"{_PAD}{fact}"
    for script in block.scripts:
        lines = script.text.splitlines()
        yield f"{_PAD}{script.title}:"
        yield from (f"{_PAD}  {paint(line, 'info')}".rstrip() for line in lines[:_SCRIPT_LINES])
        if len(lines) > _SCRIPT_LINES:
            yield f"{_PAD}  … {len(lines) - _SCRIPT_LINES} more lines; --format html shows them all"
    for why in () if alone else block.reasons:
        place = paint(f"  {why.place}", "dim") if why.place else ""
        yield f"{_PAD}{paint('why:', 'dim')} {why.text}{place}"
    if block.leads_to:
        yield f"{_PAD}{paint('leads to:', 'dim')} {', '.join(map(str, block.leads_to))}"


def _verdict(verdict: Verdict, paint: Paint) -> str:
    word, role = _VERDICTS[verdict.outcome]
    where = f" {verdict.address}:" if verdict.address else ""
    return f"  {paint(word.ljust(7), role)} {verdict.rule:<6} {verdict.name}:{where} {verdict.evidence}"
