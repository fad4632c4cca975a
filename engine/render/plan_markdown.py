"""A plan as Markdown for a pull request: the summary first, then one collapsible block a step.

Fits into a comment: what would not is folded to a line a step, or to a number, and that is said aloud.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from engine.model.diagnostic import Diagnostic
from engine.model.plan import Plan
from engine.model.verdict import Outcome, Verdict
from engine.render import words
from engine.render.paint import Paint, plain
from engine.render.reading import Block, Reading, Section, read

LIMIT = 65_536
"""What the hosts of pull requests take as one comment; counted in bytes, which are never fewer than characters."""

_ANSWERS = {Outcome.PASS: "pass", Outcome.WARN: "warn", Outcome.BLOCK: "**block**"}
_FACT = 2_000
_SCRIPT = 8_000
_MARKUP = re.compile(r"([\\`*_\[\]<>|#&])")
_ROOM = 600  # For the sentences that say what was folded.


def render(plan: Plan, paint: Paint) -> str:
    """The plan, at most LIMIT bytes; Markdown has no colour, so `paint` is not used."""
    reading = read(plan)
    head = "\n".join(_head(reading)) + "\n\n"
    told, folded_notes = _within([_diagnostic(d) for d in reading.diagnostics], LIMIT // 4, "findings")
    rails, folded_rails = _within([_verdict(v) for v in _worst_first(reading.verdicts)], LIMIT // 4, "verdicts")
    table = "| guardrail | rule | answer | evidence |\n|---|---|---|---|\n" + rails + "\n"
    foot = "".join(f"\n{note}\n" for note in (*reading.footnotes, folded_notes, folded_rails) if note)
    room = LIMIT - _ROOM - sum(_size(part) for part in (head, told, table, foot))
    return head + told + _steps(reading.sections, room) + table + foot


def _head(reading: Reading) -> Iterator[str]:
    yield f"### {_text(reading.title)} {_text(reading.about)}"
    yield ""
    yield f"**{_text(reading.summary)}** {_text(reading.made)}"
    if reading.destroyed:
        shown = ", ".join(f"`{a}`" for a in reading.destroyed[:100])
        more = f" and {len(reading.destroyed) - 100} more" if len(reading.destroyed) > 100 else ""
        yield ""
        yield f"> [!CAUTION]\n> Destroys {len(reading.destroyed)}: {shown}{more}."
    for notice in reading.notices:
        yield ""
        yield f"> [!IMPORTANT]\n> {_text(_cut(notice))}"
    if reading.roads:
        yield ""
        yield "| the road back | holds | comes back by | before |\n|---|---|---|---|"
        for road in reading.roads[:50]:
            missing = f" **No way back: {_text(_cut(road.missing))}**" if road.missing else ""
            yield (f"| {_code(str(road.store))} | {_text(_cut(road.holds))} | {_text(_cut(road.how))}{missing} | "
                   f"{_text(road.took)} |")
        if len(reading.roads) > 50:
            yield f"\n{len(reading.roads) - 50} more stores are left out here."
    if reading.drift:
        yield ""
        yield "**Changed outside since it was last applied**\n"
        yield from (f"- {_text(_cut(line))}" for line in reading.drift[:50])
        if len(reading.drift) > 50:
            yield f"- and {len(reading.drift) - 50} more"
    if reading.refusal:
        yield ""
        yield f"> [!CAUTION]\n> {_text(reading.refusal)}"


def _diagnostic(found: Diagnostic) -> str:
    lines = words.diagnostic(found, plain).splitlines()
    return "> [!WARNING]\n" + "\n".join(f"> {_text(line)}" for line in lines) + "\n\n"


def _worst_first(verdicts: Sequence[Verdict]) -> list[Verdict]:
    order = [Outcome.BLOCK, Outcome.WARN, Outcome.PASS]
    return sorted(verdicts, key=lambda v: order.index(v.outcome))


def _verdict(verdict: Verdict) -> str:
    where = f"{_code(str(verdict.address))} " if verdict.address else ""
    return (f"| {verdict.name} | {verdict.rule} | {_ANSWERS[verdict.outcome]} | "
            f"{where}{_text(_cut(verdict.evidence))} |\n")


def _steps(sections: Sequence[Section], room: int) -> str:
    """Whole blocks while there is room, what destroys before the rest; a line for each other step; else a number."""
    blocks = [block for section in sections for block in section.blocks]
    titles, begins = {}, 0
    for section in sections:
        titles[begins], begins = f"**{section.title}**\n\n" if section.title else "", begins + len(section.blocks)
    first = sorted(range(len(blocks)), key=lambda i: (not blocks[i].action.destroys, i))
    lines = [f"- {_code(f'{b.mark} {b.address}')} {b.action.value}\n" for b in blocks]
    whole: dict[int, str] = {}
    left = max(room - sum(map(_size, lines)), room // 4)
    for i in first:
        text = "\n".join(_block(blocks[i])) + "\n"
        if _size(text) - _size(lines[i]) > left:
            continue
        left -= _size(text) - _size(lines[i])
        whole[i] = text
    body = "".join(titles.get(i, "") + whole.get(i, "") for i in range(len(blocks)))
    short = [lines[i] for i in first if i not in whole]
    if not short:
        return body
    listed, more = _within(short, room - _size(body), "steps")
    said = (f"**{len(short)} of {len(blocks)} steps are folded to a line each**, since a comment holds no more; "
            "`txplan show --format html` shows them all.")
    return f"{body}{said}\n\n{listed}\n{more}\n\n"


def _block(block: Block) -> Iterator[str]:
    named = f" {_html(block.named)}" if block.named else ""
    yield (f"<details><summary><code>{_html(block.mark)} {_html(str(block.address))}</code> {block.action.value}{named}"
           "</summary>\n")
    for value in block.values:
        yield (f"- {_code(value.path)}: {_code(value.before)} → {_code(value.after)}"
               + (" **forces replacement**" if value.replaces else "")
               + (f", declared at {_code(value.place)}" if value.place else ""))
    for fact in block.facts:
        yield f"- {_text(_cut(fact))}"
    for script in block.scripts:
        yield f"- {_text(script.title)}:\n\n{_fenced(script.text)}\n"
    for why in block.reasons:
        yield f"- why: {_text(why.text)}" + (f" {_code(why.place)}" if why.place else "")
    if block.leads_to:
        yield f"- leads to: {', '.join(_code(str(a)) for a in block.leads_to[:20])}" + (
            f" and {len(block.leads_to) - 20} more" if len(block.leads_to) > 20 else "")
    yield "\n</details>\n"


def _within(parts: Sequence[str], room: int, what: str) -> tuple[str, str]:
    """As many of the parts as there is room for, and a sentence about those that are left out."""
    kept: list[str] = []
    for part in parts:
        room -= _size(part)
        if room < 0:
            break
        kept.append(part)
    left = len(parts) - len(kept)
    return "".join(kept), f"**{left} more {what} are left out here.**" if left else ""


def _size(text: str) -> int:
    return len(text.encode())


def _cut(text: str) -> str:
    return text if len(text) <= _FACT else f"{text[:_FACT]}… ({len(text) - _FACT} characters more)"


def _text(text: str) -> str:
    return " ".join(_MARKUP.sub(r"\\\1", text).split())


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _fenced(text: str) -> str:
    """A code block below a list's item; its fence is longer than any inside."""
    cut = text if len(text) <= _SCRIPT else f"{text[:_SCRIPT]}\n-- … {len(text) - _SCRIPT} characters more"
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", cut)), default=0))
    return "\n".join(f"  {line}".rstrip() for line in (f"{fence}sql", *cut.splitlines(), fence))


def _code(text: str) -> str:
    """A code span that no value can end: its fence is longer than any run of backquotes inside."""
    text = " ".join(_cut(text).split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if fence != "`" else ""
    return f"{fence}{space}{text}{space}{fence}"
