"""Evidence as Markdown, for a pull request or a wiki."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine.model.evidence import Evidence, measured
from engine.render import words
from engine.render.paint import Paint


def render(id_: str, record: Evidence, paint: Paint) -> str:
    """The record; Markdown has no colour, so `paint` is not used."""
    return "\n".join(_lines(id_, record)) + "\n"


def _lines(id_: str, record: Evidence) -> Iterator[str]:
    env = record.environment
    yield f"### Evidence of {env.name} on {env.target}, {env.access}\n"
    yield from _table(("what", "value"), [
        ("id", f"`{id_}`"), ("made", f"{record.made_at:%Y-%m-%d %H:%M:%SZ} by {record.made_by} on {record.made_on} "
         f"with txplan {record.tool_version}"),
        ("applied", f"plan `{record.plan}`, run `{record.run}`"), ("manifest", f"`{record.manifest_digest}`"),
        ("code", f"`{record.code}`"), ("apps", words.facts(record.revisions)), ("schema", record.head),
        *(("landed", f"{r['revision']} `{r['digest']}`") for r in record.landed),
        *(("changed by hand", what) for what in record.schema_drift), ("cutover", words.facts(record.cutover))])
    yield "\n#### Proofs\n"
    yield from _table(("step", "answer", "at", "measured"), [
        (f"`{p.address}`", p.outcome if p.current else f"**{p.outcome}, of an earlier state**",
         f"{p.at:%Y-%m-%d %H:%M:%SZ}", measured(p.detail)) for p in record.proofs])
    yield "\n#### Guardrails\n"
    yield from _table(("guardrail", "rule", "answer", "evidence"),
                      [(v.name, v.rule, v.outcome.value, v.evidence) for v in record.verdicts])
    if record.overrides:
        yield "\n#### Overrides\n"
        yield from _table(("guardrail", "reason"), [(o.guardrail, o.reason) for o in record.overrides])


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(_cell(cell) for cell in row)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
