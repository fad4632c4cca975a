"""A plan as Markdown for a pull request: the summary first, then one collapsible block a step."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from engine.model.change import Change
from engine.model.plan import Plan
from engine.model.verdict import Outcome
from engine.render import words
from engine.render.paint import MARKS, Paint, plain
from engine.render.plan_text import made, summary, untold


def render(plan: Plan, paint: Paint) -> str:
    """The whole plan; Markdown has no colour, so `paint` is not used."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    env = plan.environment
    yield f"### {'Destroy' if plan.destroy else 'Plan for'} `{env.name}` on {env.target}"
    yield ""
    yield f"**{summary(plan)}** From `{plan.manifest_file}`, ttl {env.tags.get('ttl')}. {made(plan)}"
    gone = [c for c in plan.pending if c.action.destroys]
    if gone:
        yield ""
        yield f"> [!CAUTION]\n> Destroys {', '.join(f'`{c.address}`' for c in gone)}."
    for found in (*plan.diagnostics, *(v.diagnostic for v in plan.verdicts if v.diagnostic)):
        yield ""
        yield "> [!WARNING]\n" + "\n".join(f"> {line}" for line in words.diagnostic(found, plain).splitlines())
    yield ""
    for change in plan.pending:
        yield from _block(change)
    marks = {Outcome.PASS: "pass", Outcome.WARN: "warn", Outcome.BLOCK: "**block**"}
    yield "| guardrail | rule | answer | evidence |"
    yield "|---|---|---|---|"
    for verdict in plan.verdicts:
        evidence = verdict.evidence.replace("|", "\\|")
        yield f"| {verdict.name} | {verdict.rule} | {marks[verdict.outcome]} | {evidence} |"


def _block(change: Change) -> Iterator[str]:
    yield f"<details><summary><code>{MARKS[change.action][0]} {change.address}</code> {change.action.value}</summary>"
    yield ""
    for diff in change.diffs:
        place = change.positions.get(diff.path)
        yield (f"- `{diff.path}`: {_code(diff.before)} → {_code(diff.after)}"
               + (" (forces replacement)" if diff.replaces else "") + (f", declared at `{place}`" if place else ""))
    for key, item in change.details.items():
        if item not in ({}, None):
            yield f"- {key}: {_code(item)}"
    for reason in untold(change):
        yield f"- {escape(reason.text)}" + (f" (`{reason.position}`)" if reason.position else "")
    yield ""
    yield "</details>"
    yield ""


def _code(item: object) -> str:
    return f"`{words.value(item).replace('`', chr(39))}`"
