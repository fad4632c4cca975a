"""Evidence as text."""

from __future__ import annotations

from collections.abc import Iterator

from engine.model.evidence import Evidence, measured
from engine.render import words
from engine.render.paint import Paint

_OUTCOMES = {"pass": "good", "fail": "bad", "no-data": "warn"}


def render(id_: str, record: Evidence, paint: Paint) -> str:
    """The record on a screen, ending in a newline."""
    return "\n".join(_lines(id_, record, paint)) + "\n"


def _lines(id_: str, record: Evidence, paint: Paint) -> Iterator[str]:
    env = record.environment
    yield f"{paint(f'Evidence of {env.name}', 'strong')} on {env.target}, {env.access} ({record.manifest_file})"
    yield f"  id        {id_}"
    yield (f"  made      {record.made_at:%Y-%m-%d %H:%M:%SZ} by {record.made_by} on {record.made_on} with txplan "
           f"{record.tool_version}")
    yield f"  applied   plan {record.plan}, run {record.run}"
    yield f"  manifest  {record.manifest_digest}"
    yield f"  code      {record.code}"
    yield f"  apps      {words.facts(record.revisions)}"
    landed = ", ".join(f"{r['revision']} {r['digest'][:12]}" for r in record.landed)
    yield f"  schema    {record.head}; landed {landed}"
    yield from (f"  {paint('by hand', 'bad')}   {what}" for what in record.schema_drift)
    yield f"  cutover   {words.facts(record.cutover)}"
    for proof in record.proofs:
        answer = proof.outcome if proof.current else f"{proof.outcome}, of an earlier state"
        yield (f"  {paint(answer.ljust(9), _OUTCOMES.get(proof.outcome, 'dim'))} {proof.address}: "
               f"{measured(proof.detail)} {paint(f'({proof.at:%Y-%m-%d %H:%M:%SZ})', 'dim')}")
    yield from (f"  {v.outcome.value:<7} {v.rule:<6} {v.name}: {v.evidence}" for v in record.verdicts)
    yield from (f"  {paint('override', 'warn')}  {o.guardrail}: {o.reason}" for o in record.overrides)
