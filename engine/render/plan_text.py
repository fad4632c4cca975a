"""A plan as text for a terminal: what changes and why, the guardrails' answers, one line that sums it up."""

from __future__ import annotations

from collections.abc import Iterator

from engine.model.change import Action, Change, Reason
from engine.model.diagnostic import Diagnostic
from engine.model.plan import Plan
from engine.model.verdict import Outcome, Verdict
from engine.render import words
from engine.render.paint import MARKS, Paint

_VERDICTS = {Outcome.PASS: ("ok", "good"), Outcome.WARN: ("warn", "warn"), Outcome.BLOCK: ("BLOCKED", "bad")}
_TOLD_BY_ACTION = {"absent", "destroy"}
_TOLD_BY_DIFF = {"differs"}


def render(plan: Plan, paint: Paint) -> str:
    """The whole plan, ending in a newline."""
    return "\n".join(_lines(plan, paint)) + "\n"


def summary(plan: Plan) -> str:
    """One line: how many steps of each action."""
    if not plan.pending and not plan.can_apply():
        return "There is no plan."
    if not plan.pending:
        return "Nothing to destroy." if plan.destroy else "No changes. The live environment is as the manifest says."
    order = (Action.CREATE, Action.UPDATE, Action.REPLACE, Action.DELETE, Action.RUN, Action.WAIT)
    parts = [f"{plan.counts[action]} to {'decide later' if action is Action.WAIT else action.value}"
             for action in order if plan.counts[action]]
    unchanged = plan.counts[Action.NOOP]
    return f"Plan: {', '.join(parts)}; {unchanged} unchanged."


def made(plan: Plan) -> str:
    """Who made the plan, where, when and with what, and until when it is good."""
    return (f"Made {plan.created_at:%Y-%m-%d %H:%M:%SZ} by {plan.made_by} on {plan.made_on} with txplan "
            f"{plan.tool_version}; valid until {plan.valid_until:%Y-%m-%d %H:%M:%SZ}.")


def _lines(plan: Plan, paint: Paint) -> Iterator[str]:
    what = "Destroying" if plan.destroy else "Plan for"
    env = plan.environment
    yield f"{paint(f'{what} {env.name}', 'strong')} on {env.target} ({plan.manifest_file}, ttl {env.tags.get('ttl')})"
    yield paint(made(plan), "dim")
    pending = plan.pending
    if pending:
        yield ""
        width = max(len(str(c.address)) for c in pending)
        for change in pending:
            yield from _change(change, width, paint)
    if plan.counts[Action.WAIT]:
        yield paint("  ? is decided when it can be read; nothing is destroyed by it.", "dim")
    yield ""
    yield paint("Guardrails", "strong")
    for verdict in plan.verdicts:
        yield _verdict(verdict, paint)
    for diagnostic in _diagnostics(plan):
        yield ""
        yield words.diagnostic(diagnostic, paint)
    yield ""
    yield paint(summary(plan), "strong")
    if not plan.can_apply():
        yield paint("This plan cannot be applied: mend what is marked above.", "bad")


def _change(change: Change, width: int, paint: Paint) -> Iterator[str]:
    mark, role = MARKS[change.action]
    named = f"  {change.spec['name']}" if "name" in change.spec and change.address.kind == "resource" else ""
    told = untold(change)
    alone = f"  {told[0].text}" if len(told) == 1 and not (change.diffs or change.details or named) else ""
    yield (f"  {paint(mark, role)} {paint(str(change.address).ljust(width), role)}  {change.action.value}{named}"
           + paint(alone, "dim"))
    pad = " " * 6
    for diff in change.diffs:
        forced = paint("  forces replacement", "bad") if diff.replaces else ""
        at = change.positions.get(diff.path)
        declared = paint(f"  declared at {at}", "dim") if at else ""
        yield f"{pad}{diff.path}: {words.value(diff.before)} → {words.value(diff.after)}{forced}{declared}"
    for key, item in change.details.items():
        if isinstance(item, list | tuple):
            yield from (f"{pad}{entry}" for entry in map(words.value, item))
        elif item not in ({}, None):
            yield f"{pad}{key}: {_short(words.value(item))}"
    for reason in () if alone else told:
        place = paint(f"  {reason.position}", "dim") if reason.position else ""
        yield f"{pad}{paint('why:', 'dim')} {reason.text}{place}"


def untold(change: Change) -> list[Reason]:
    """The reasons that neither the action nor the differing values tell already."""
    told = _TOLD_BY_ACTION | (_TOLD_BY_DIFF if change.diffs else set())
    return [r for r in change.reasons if r.code not in told]


def _short(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:159]}…"


def _verdict(verdict: Verdict, paint: Paint) -> str:
    word, role = _VERDICTS[verdict.outcome]
    where = f" {verdict.address}:" if verdict.address else ""
    return f"  {paint(word.ljust(7), role)} {verdict.rule:<6} {verdict.name}:{where} {verdict.evidence}"


def _diagnostics(plan: Plan) -> list[Diagnostic]:
    return [*plan.diagnostics, *(v.diagnostic for v in plan.verdicts if v.diagnostic)]
