"""How `txplan secret rotate` runs: read what is live, show the stages, ask, lock, carry out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.cli.common import AtHand, at_hand, out, painter, say, state_dir
from engine.cli.known import manifest_of
from engine.cli.running import ask, stopping

if TYPE_CHECKING:
    from engine.kinds.rotating import Rotation
    from engine.model.address import Address
    from engine.model.event import Event
    from engine.providers.base import Context


def rotate(env: str, name: str, *, overlap: timedelta, approved: bool, as_json: bool) -> int:
    """The exit code."""
    from engine.applying.journal import Journal
    from engine.applying.rotation import bring, carry_out
    from engine.kinds.rotating import plan_rotation

    hand = at_hand(manifest_of(env), as_json=as_json)

    def up_to_date(address: Address, context: Context) -> None:
        bring(address, hand.graph.steps, hand.kinds, hand.capabilities, context)

    def planned() -> Rotation:
        return plan_rotation(name, hand.graph.steps, hand.capabilities, up_to_date, overlap)

    _show(planned(), hand, as_json=as_json)
    if not approved:
        ask("Rotate it?", "Add --auto-approve.")
    journal = Journal(state_dir() / "journal" / f"{hand.environment.name}.jsonl")
    with hand.capabilities.lock.acquire(f"secret rotate {name}"), stopping() as stop:
        # Read again: while somebody was thinking, another may have gone on with it.
        rotation = planned()
        with _told(as_json=as_json) as tell:
            code = carry_out(rotation, hand.environment.name, journal, tell, stop)
    if not as_json:
        say(f"{name} of {hand.environment.name} is rotated." if code == 0 else
            f"It goes on from there: txplan secret rotate {env} {name}")
    return code


def _show(rotation: Rotation, hand: AtHand, *, as_json: bool) -> None:
    if as_json:
        out(json.dumps({"event": "Rotation", "secret": rotation.secret, "environment": hand.environment.name,
                        "goes_on": rotation.begun, "notes": list(rotation.notes),
                        "stages": [{"name": s.name, "text": s.text} for s in rotation.stages]}) + "\n")
        return
    paint = painter()
    goes_on = "; it goes on where an earlier one was cut off" if rotation.begun else ""
    out(f"Rotation of {paint(rotation.secret, 'strong')} in {hand.environment.name}{goes_on}\n\n")
    for number, stage in enumerate(rotation.stages, 1):
        out(f"  {number}  {stage.name:<8} {stage.text}\n")
    for note in rotation.notes:
        out(f"\n{paint('note', 'warn')}  {note}\n")
    out("\n")


@contextlib.contextmanager
def _told(*, as_json: bool) -> Iterator[Callable[[Event], None]]:
    from engine.model.event import StepProgress
    from engine.render import events

    paint, before = painter(), ""

    def line(event: Event) -> None:
        nonlocal before
        if isinstance(event, StepProgress) and event.note and event.note != before:
            before = event.note
            out(f"         {event.note}\n")
        elif (text := events.as_line(event, paint)) is not None:
            out(text + "\n")

    yield (lambda event: out(events.as_json(event) + "\n")) if as_json else line
