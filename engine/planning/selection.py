"""Selection: a part of a plan, such that what is done stays sound and what is left out is known.

Owns what `--only` and `--exclude` mean: only pulls in whatever a chosen step waits for, exclude leaves out whatever
waits for an excluded step. Pure. Must not: decide anything anew.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from engine.model.address import Address
from engine.model.change import Action, Change, Reason
from engine.model.diagnostic import Diagnostic, Refused, error
from engine.model.plan import LeftOut, Plan, Scope


@dataclass(frozen=True, slots=True)
class Selection:
    """What somebody asks for: addresses, or patterns such as `gate.*`. Both empty: everything."""

    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


EVERYTHING = Selection()


def select(plan: Plan, selection: Selection) -> Plan:
    """The plan with what is left out as steps that do nothing, and with what it left out and pulled in.

    Raises Refused where a pattern fits no step.
    """
    if selection == EVERYTHING:
        return plan
    problems: list[Diagnostic] = []
    only, exclude = (_match(patterns, plan.changes, problems) for patterns in (selection.only, selection.exclude))
    if problems:
        raise Refused(problems)
    waits = plan.waits()
    chosen = _closure(only & waits.keys(), waits) if selection.only else set(waits)
    because = _blocked(exclude, waits)
    left: list[LeftOut] = []
    changes: list[Change] = []
    for change in plan.changes:
        address = change.address
        if address not in waits or (address in chosen and address not in because):
            changes.append(change)
            continue
        cause = because.get(address) if address in chosen else None
        left.append(LeftOut(address, change.action, cause if cause != address else None))
        changes.append(replace(change, action=Action.NOOP, reasons=(Reason("left-out", "It was left out."),), diffs=(),
                               details={}))
    pulled_in = tuple(c.address for c in changes if selection.only and c.action is not Action.NOOP
                      and c.address not in only)
    return replace(plan, changes=tuple(changes),
                   scope=Scope(selection.only, selection.exclude, pulled_in, tuple(left)))


def _match(patterns: Sequence[str], changes: Iterable[Change], problems: list[Diagnostic]) -> set[Address]:
    """The addresses that the patterns fit; a pattern that fits none is added to the problems."""
    known = {str(c.address): c.address for c in changes}
    found: set[Address] = set()
    for pattern in patterns:
        fits = {address for text, address in known.items() if fnmatchcase(text, pattern)}
        found |= fits
        if not fits:
            near = difflib.get_close_matches(pattern, known, n=1)
            problems.append(error("unknown-step", f"No step is called {pattern!r}.",
                                  mend=f"Did you mean {near[0]}?" if near else "List them: txplan graph MANIFEST"))
    return found


def _closure(start: Iterable[Address], waits: Mapping[Address, Iterable[Address]]) -> set[Address]:
    """`start` and all that it waits for."""
    found: set[Address] = set()
    stack = list(start)
    while stack:
        address = stack.pop()
        if address not in found:
            found.add(address)
            stack += waits[address]
    return found


def _blocked(start: Iterable[Address], waits: Mapping[Address, Iterable[Address]]) -> dict[Address, Address]:
    """All that waits for an address of `start`, with that address; those of `start` lead to themselves."""
    followers: dict[Address, list[Address]] = {address: [] for address in waits}
    for address in sorted(waits):
        for dependency in waits[address]:
            followers[dependency].append(address)
    cause: dict[Address, Address] = {}
    for root in sorted(start):
        cause[root] = root
    stack = [a for a in sorted(start) if a in followers]
    while stack:
        address = stack.pop()
        for follower in followers[address]:
            if follower not in cause:
                cause[follower] = cause[address]
                stack.append(follower)
    return cause
