"""`txplan gates`."""

from __future__ import annotations

import json

import click

from engine.cli.common import json_option, known_environment, open_target, out, painter
from engine.model.diagnostic import Refused, error

_EPILOG = """\b
Examples:
  txplan gates dev-kim                     the last answers of every gate
  txplan gates dev-kim --gate freshness --limit 50
  txplan gates dev-kim --json
"""


@click.command(epilog=_EPILOG)
@click.argument("env")
@click.option("--gate", metavar="NAME", help="This gate alone, such as freshness.")
@click.option("--limit", type=click.IntRange(1), default=5, show_default=True, help="How many answers of each.")
@json_option
def command(env: str, gate: str | None, limit: int, as_json: bool) -> None:
    """Show what the gates measured, each with its limit, its window, and the run that asked.

    ENV is a manifest, or the name of an environment that was planned here.
    """
    from engine.kinds.base import Needs
    from engine.kinds.gate import GATES, REVISION
    from engine.kinds.records import gate_answers
    from engine.render.gates_text import render

    known = {REVISION.name, *GATES}
    if gate is not None and gate not in known:
        raise Refused([error("unknown-gate", f"There is no gate {gate!r}.",
                             mend=f"Name one of {', '.join(sorted(known))}.")])
    answers = gate_answers(Needs(open_target(known_environment(env))).database, gate, limit)
    if not as_json:
        out(render(answers, painter()))
        return
    for answer in answers:
        kept = {key: answer.detail.get(key) for key in ("value", "limit", "unit", "window_s", "run", "says")}
        out(json.dumps({"event": "GateAnswer", "gate": answer.step.removeprefix("gate."), "outcome": answer.outcome,
                        "at": answer.at.isoformat(), **kept}, ensure_ascii=False) + "\n")
