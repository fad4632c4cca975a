"""How apply and destroy run: plan, ask, lock, apply, and a clean stop on Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.common import (
    at_hand,
    colour,
    last_plan_path,
    make_plan,
    open_target,
    out,
    painter,
    plan_path,
    remember,
    say,
    state_dir,
)
from engine.model.diagnostic import Refused, error
from engine.model.plan import Plan
from engine.render import renderer

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.model.event import Event
    from engine.model.verdict import Override


def apply_reviewed(path: Path | None, *, overrides: tuple[Override, ...], parallelism: int, as_json: bool,
                   confirm: str | None) -> int:
    """Apply a plan file, or the plan last reviewed; the exit code."""
    from engine.planning.planfile import load_plan

    if path is None:
        try:
            path = plan_path(last_plan_path().read_text(encoding="utf-8").strip())
        except FileNotFoundError as problem:
            raise Refused([error("no-plan", "No plan was reviewed here yet.",
                                 mend="Make one: txplan plan MANIFEST")]) from problem
    plan = load_plan(path)
    if plan.snapshot_at is not None:
        raise Refused([error("offline-plan", "This plan was made from a snapshot; it is for reading.",
                             mend="Plan on the live environment: txplan plan MANIFEST")])
    if not as_json:
        out(renderer("plan", "text")(plan, painter()))
    if plan.destroy and plan.pending:
        _confirm_destroy(plan, confirm)
    return _apply(plan, overrides=overrides, parallelism=parallelism, as_json=as_json)


def apply_manifest(path: Path, *, destroy: bool, overrides: tuple[Override, ...], parallelism: int, as_json: bool,
                   approved: bool = False, confirm: str | None = None) -> int:
    """Plan, show, ask and apply; the exit code."""
    hand = at_hand(path, as_json=as_json)
    plan = make_plan(hand, destroy=destroy, overrides=overrides)
    remember(plan)
    out(renderer("plan", "json" if as_json else "text")(plan, painter()))
    if not plan.pending or not plan.can_apply():
        return plan.exit_code(detailed=False)
    if destroy:
        _confirm_destroy(plan, confirm)
    elif not approved:
        ask("Apply this plan?", "Add --auto-approve, or apply a plan that was reviewed: txplan apply PLAN.json")
    return _apply(plan, overrides=(), parallelism=parallelism, as_json=as_json)


def ask(question: str, mend: str) -> None:
    """Ask on the terminal; Refused without one, with what to add, and where the answer is no."""
    if not sys.stdin.isatty():
        raise Refused([error("no-terminal", "There is no terminal to ask on.", mend=mend)])
    if not click.confirm(question, default=False, err=True):
        raise Refused([error("not-approved", "Nothing was applied.")])


def _confirm_destroy(plan: Plan, confirm: str | None) -> None:
    name = plan.environment.name
    if confirm is None:
        if not sys.stdin.isatty():
            raise Refused([error("no-terminal", "There is no terminal to ask on.", mend=f"Add --confirm {name}")])
        confirm = click.prompt(f"Type {name} to destroy it", default="", show_default=False, err=True)
    if confirm != name:
        raise Refused([error("not-confirmed", f"{confirm!r} is not {name!r}; nothing was destroyed.")])


def _apply(plan: Plan, *, overrides: tuple[Override, ...], parallelism: int, as_json: bool) -> int:
    """Apply a plan; `overrides` are those given now, beside the plan's own."""
    from engine.applying.apply import Apply, refuse_stale
    from engine.applying.journal import Journal
    from engine.kinds.base import discover
    from engine.planning import guardrails
    from engine.planning.planfile import plan_id
    from engine.planning.recheck import recheck

    # Named before it is changed: an override makes no new plan of one that was applied already.
    name, rails = plan_id(plan), guardrails.discover()
    plan = guardrails.overridden(plan, overrides, rails)
    if not plan.can_apply() or not plan.pending:
        return plan.exit_code(detailed=False)
    kinds, capabilities = discover(), open_target(plan.environment)
    journal = Journal(state_dir() / "journal" / f"{plan.environment.name}.jsonl")
    with capabilities.lock.acquire("destroy" if plan.destroy else "apply"), stopping() as stop:
        recheck(plan, kinds, capabilities, rails, datetime.now(UTC))
        refuse_stale(plan, name, kinds, capabilities, journal)
        with _view(plan, as_json=as_json) as emit:
            _, code = Apply(plan, name, kinds, capabilities, journal, emit, stop, parallelism).run()
    if not as_json and code in (0, 4):
        _closing_words(plan, code)
    return code


@contextlib.contextmanager
def _view(plan: Plan, *, as_json: bool) -> Iterator[Callable[[Event], None]]:
    from engine.render import events

    if as_json:
        yield lambda event: out(events.as_json(event) + "\n")
    elif sys.stdout.isatty():
        from engine.render.live import LiveView

        with LiveView(plan.waits(), colour=colour()) as view:
            yield view
    else:
        paint = painter()

        def line(event: Event) -> None:
            text = events.as_line(event, paint)
            if text is not None:
                out(text + "\n")

        yield line


@contextlib.contextmanager
def stopping() -> Iterator[threading.Event]:
    """The first Ctrl-C (or SIGTERM) asks for a clean stop; a second one ends txplan at once."""
    stop = threading.Event()

    def asked(number: int, frame: object) -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()
        say("Stopping: nothing new starts; what runs finishes or is recorded as interrupted. Again to end at once.")

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _closing_words(plan: Plan, code: int) -> None:
    name = plan.environment.name
    if plan.scope:
        say(f"The chosen part of {name} is done; {len(plan.scope.left_out)} steps were left out.")
    elif plan.destroy:
        say(f"{name} is gone. What was done is kept in {state_dir() / 'journal' / f'{name}.jsonl'}.")
    elif code == 0:
        say(f"{name} serves. See it: txplan status {name}")
