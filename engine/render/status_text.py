"""An environment's status as text."""

from __future__ import annotations

from collections.abc import Iterator

from engine.planning.status import Status
from engine.render import words
from engine.render.paint import Paint

_OUTCOMES = {"pass": "good", "fail": "bad", "no-data": "warn"}


def render(status: Status, paint: Paint) -> str:
    """A few lines, ending in a newline."""
    return "\n".join(_lines(status, paint)) + "\n"


def _lines(status: Status, paint: Paint) -> Iterator[str]:
    yield paint(status.environment, "strong") + ("" if status.exists else ": does not exist here")
    if status.lock:
        yield f"  {paint('locked', 'warn')}    by {status.lock.who} on {status.lock.host} ({status.lock.purpose})"
    if not status.exists:
        return
    for server, state in status.servers.items():
        yield f"  server    {server}, {paint(state, 'good' if state == 'up' else 'bad')}"
    rows = " · ".join(f"{name} {count:,}" for name, count in status.rows.items())
    yield (f"  database  {status.database}, revision {', '.join(status.revisions) or 'none'}"
           f"{f', {rows}' if rows else ''}")
    if status.cutover:
        cut = status.cutover
        yield (f"  cutover   generation {cut.generation}, {cut.state}, T {cut.t_cutover:%Y-%m-%dT%H:%M:%SZ}, "
               f"group {cut.group}")
    for app in status.apps:
        waiting = status.waiting.get(app.name)
        down = app.running < app.replicas
        state = paint(f"waits: {waiting}", "bad") if waiting else paint("ready", "good")
        if down and not waiting:
            state = paint("not supervised; apply starts it again", "bad")
        yield (f"  app       {app.name} {app.revision}, {app.running} of {app.replicas} running, {state}, "
               f"{' '.join(app.endpoints)}")
    if status.now:
        yield f"  now       {words.facts({k: f'{v:.3f}'.rstrip('0').rstrip('.') for k, v in status.now.items()})}"
    for proof in status.proofs:
        yield (f"  {paint(proof.outcome.ljust(9), _OUTCOMES.get(proof.outcome, 'dim'))} {proof.step}: {proof.says} "
               + paint(f"({proof.at:%Y-%m-%d %H:%M:%SZ})", "dim"))
