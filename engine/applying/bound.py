"""What a plan needs of the place where it is applied: the code and the revisions that it was made of.

Held before the first change, for all that the plan will do: what would fail at its end has destroyed nothing. Must not:
read the live environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.kinds.base import Bound, Kind
from engine.model.change import Action, Change
from engine.model.diagnostic import Refused


def refuse_moved(changes: Iterable[Change], kinds: Mapping[str, Kind]) -> None:
    """Refuse (exit code 5) changes that cannot be carried out from here as they were planned."""
    problems = []
    for change in changes:
        kind = kinds[change.address.kind]
        if change.action not in (Action.NOOP, Action.DELETE) and isinstance(kind, Bound):
            moved = kind.moved(change)
            problems += [moved] if moved else []
    if problems:
        raise Refused(problems, exit_code=5)
