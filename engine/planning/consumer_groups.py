"""Consumer groups of an environment: whose they are, of which generation, and which of them may go (P7).

Owns the listing and the rule of removal. Must not: remove anything that `removable` refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from engine.kinds.base import Needs
from engine.kinds.records import active_cutover, why_unreadable
from engine.model.diagnostic import Diagnostic, Refused, error
from engine.model.manifest import Names
from engine.policy.naming import GROUPS, consumer_group_prefix, generation_of

Whose = Literal["active", "old", "foreign"]


@dataclass(frozen=True, slots=True)
class GroupLine:
    """One group. `generation` is None for a group of another environment; `lag` counts records of the topics of the
    active cutover, None where the group has no offset in them."""

    name: str
    whose: Whose
    generation: int | None
    state: str
    members: int
    lag: int | None


def read_groups(names: Names, needs: Needs) -> list[GroupLine]:
    """All groups that are named as environments' groups are, by generation; raises Refused where a server is away."""
    if why := why_unreadable(needs.database):
        raise Refused([error("database-away", f"Which group is active cannot be read: {why}.",
                             mend="Start what is down: txplan apply MANIFEST")])
    record = active_cutover(needs.database)
    topics = sorted({topic for topic, _ in record.start_offsets}) if record else []
    ends = {place: end for topic in topics for place, end in needs.broker.latest_offsets(topic).items()}
    found = []
    for name in needs.broker.groups(GROUPS):
        state, generation = needs.broker.describe_group(name), generation_of(names, name)
        committed = needs.broker.committed(name, topics) if topics else {}
        lag = sum(max(ends.get(place, offset) - offset, 0) for place, offset in committed.items())
        whose: Whose = "foreign" if generation is None else (
            "active" if record is not None and record.group == name else "old")
        found.append(GroupLine(name, whose, generation, state.state, state.members, lag if committed else None))
    return sorted(found, key=lambda g: (g.generation is None, g.generation or 0, g.name))


def removable(groups: Sequence[GroupLine], names: Names, wanted: Iterable[str]) -> list[GroupLine]:
    """The groups to remove: those named, or all old ones without members where none is named.

    Raises Refused (exit code 3) with every one that may not go: the active one, another environment's, one with
    members; and (1) for a name that no group has. Then none is to be removed.
    """
    by_name, problems, found = {g.name: g for g in groups}, list[Diagnostic](), []
    named = list(dict.fromkeys(wanted))
    for name in named or [g.name for g in groups if g.whose == "old" and not g.members]:
        group = by_name.get(name)
        if group is None:
            raise Refused([error("unknown-group", f"There is no consumer group {name!r}.",
                                 mend="List them: txplan cutover groups ENV")])
        problem = _refusal(group, names)
        if problem is None:
            found.append(group)
        else:
            problems.append(problem)
    if problems:
        raise Refused(problems, exit_code=3)
    return found


def _refusal(group: GroupLine, names: Names) -> Diagnostic | None:
    if group.whose == "foreign":
        return error("group-foreign", f"{group.name} is not this environment's.",
                     f"Its own begin with {consumer_group_prefix(names)}.", "Leave it to whom it belongs to.",
                     rule="P7.1")
    if group.whose == "active":
        return error("group-active", f"{group.name} is the group of the active cutover.",
                     "Its offsets are how far the store is.", "Remove older generations alone.", rule="P7.2")
    if group.members:
        return error("group-has-members", f"{group.name} has {group.members} members: somebody reads under it.",
                     mend="End them first.", rule="P7.1")
    return None


def remove(groups: Sequence[GroupLine], needs: Needs, removed: Callable[[GroupLine], None]) -> None:
    """Remove the groups one after the other, each looked at once more; `removed` hears of each."""
    for group in groups:
        if members := needs.broker.describe_group(group.name).members:
            raise Refused([error("group-has-members", f"{group.name} has {members} members by now.",
                                 mend="End them first.", rule="P7.1")], exit_code=3)
        needs.broker.remove_group(group.name)
        removed(group)
