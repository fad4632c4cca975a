"""How apply and destroy run: plan, ask, lock, apply, and a clean stop on Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from engine.cli.common import (
    Asked,
    at_hand,
    colour,
    evidence_folder,
    last_plan_path,
    make_plan,
    making,
    now,
    open_target,
    out,
    painter,
    plan_path,
    remember,
    say,
    show_diagnostics,
    state_dir,
)
from engine.model.diagnostic import Refused, Severity, error
from engine.model.plan import Plan
from engine.render import renderer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.applying.journal import Journal
    from engine.kinds.base import Kind
    from engine.model.event import Event
    from engine.model.manifest import Reprocess
    from engine.model.verdict import Override
    from engine.providers.base import Capabilities


def apply_reviewed(path: Path | None, *, overrides: tuple[Override, ...], parallelism: int, as_json: bool,
                   confirm: str | None) -> int:
    """Apply a plan file, or the plan last reviewed; the exit code."""
    from engine.planning.planfile import load_plan, plan_id

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
    if plan.rebuild and len(_to_do(plan, plan_id(plan), _journal(plan))) == 1:
        say("What this plan destroys is gone already: it goes on with what it builds.")
    elif plan.destroy and plan.pending:
        confirm_destroy(plan, confirm)
    return apply_plan(plan, overrides=overrides, parallelism=parallelism, as_json=as_json)


def apply_manifest(path: Path, *, parallelism: int, as_json: bool, approved: bool = False, confirm: str | None = None,
                   plan_only: bool = False, reprocess: Reprocess | None = None, **asked: Unpack[Asked]) -> int:
    """Plan what is asked for, show, ask and apply; the exit code."""
    plan = make_plan(at_hand(path, as_json=as_json, reprocess=reprocess), **asked)
    remember(plan)
    out(renderer("plan", "json" if as_json else "text")(plan, painter()))
    if not plan.pending or not plan.can_apply() or plan_only:
        return plan.exit_code(detailed=False)
    if plan.destroy:
        confirm_destroy(plan, confirm)
    elif not approved:
        ask("Apply this plan?", "Add --auto-approve, or apply a plan that was reviewed: txplan apply PLAN.json")
    return apply_plan(plan, overrides=(), parallelism=parallelism, as_json=as_json)


def ask(question: str, mend: str) -> None:
    """Ask on the terminal; Refused without one, with what to add, and where the answer is no."""
    if not sys.stdin.isatty():
        raise Refused([error("no-terminal", "There is no terminal to ask on.", mend=mend)])
    if not click.confirm(question, default=False, err=True):
        raise Refused([error("not-approved", "Nothing was changed.")])


def confirm_destroy(plan: Plan, confirm: str | None) -> None:
    name = plan.environment.name
    if confirm is None:
        if not sys.stdin.isatty():
            raise Refused([error("no-terminal", "There is no terminal to ask on.", mend=f"Add --confirm {name}")])
        doing = "destroy it and build it anew" if plan.rebuild else "destroy it"
        confirm = click.prompt(f"Type {name} to {doing}", default="", show_default=False, err=True)
    if confirm != name:
        raise Refused([error("not-confirmed", f"{confirm!r} is not {name!r}; nothing was destroyed.")])


def apply_plan(plan: Plan, *, overrides: tuple[Override, ...], parallelism: int, as_json: bool) -> int:
    """Apply a plan; `overrides` are those given now, beside the plan's own."""
    from engine.planning import guardrails
    from engine.planning.planfile import plan_id

    # Named before it is changed: an override makes no new plan of one that was applied already.
    name, rails = plan_id(plan), guardrails.discover()
    plan = guardrails.overridden(plan, overrides, rails)
    if not plan.can_apply() or not plan.pending:
        return plan.exit_code(detailed=False)
    capabilities = open_target(plan.environment)
    journal = _journal(plan)
    purpose = "recreate" if plan.rebuild else "destroy" if plan.destroy else "apply"
    code = 0
    with capabilities.lock.acquire(purpose), stopping() as stop:
        for phase, phase_name in _to_do(plan, name, journal):
            code = _phase(phase, phase_name, capabilities, journal, stop, parallelism, as_json=as_json,
                          from_nothing=plan.destroy and not phase.destroy)
            if code:
                break
    if not as_json:
        _closing_words(plan, code)
    return code


def _journal(plan: Plan) -> Journal:
    from engine.applying.journal import Journal

    return Journal(state_dir() / "journal" / f"{plan.environment.name}.jsonl")


def _to_do(plan: Plan, name: str, journal: Journal) -> list[tuple[Plan, str]]:
    """The plan's parts that are still to be done, with their names in the journal.

    A plan that destroys and builds goes on where it was cut: when all was destroyed, nothing of what was built since is
    destroyed again. A part whose end nobody recorded is done again, and is held against the live environment as any.
    """
    phases = plan.phases()
    if len(phases) == 1:
        return [(plan, name)]
    remove, build = (phases[0], f"{name}-remove"), (phases[1], f"{name}-build")
    gone = not phases[0].pending or journal.past(remove[1]).succeeded
    # The first part is judged with the second: what is going to be refused then is refused before anything is gone.
    return [build] if gone else [(plan, remove[1]), build]


def _phase(plan: Plan, name: str, capabilities: Capabilities, journal: Journal, stop: threading.Event,
           parallelism: int, *, as_json: bool, from_nothing: bool) -> int:
    """Judge one part of a plan on what is live now, refuse it where it is stale, and carry it out; the exit code."""
    from engine.applying.apply import Apply, refuse_stale
    from engine.applying.bound import refuse_moved
    from engine.kinds.base import discover
    from engine.planning import guardrails
    from engine.planning.recheck import recheck

    kinds = discover()
    recheck(plan, kinds, capabilities, guardrails.discover(), now())
    part = plan.phases()[0]
    refuse_stale(part, name, kinds, capabilities, journal, from_nothing=from_nothing)
    refuse_moved(plan.pending, kinds)
    manifest = Path(plan.manifest_file)
    if capabilities.register and manifest.is_file():
        # Not before: what turns out to be somebody else's is not written to.
        capabilities.register.note(str(manifest.absolute()))
    with _view(part, as_json=as_json) as emit:
        closing, code = Apply(part, name, kinds, capabilities, journal, emit, stop, parallelism).run()
    if code == 0 and not part.destroy and part.scope is None:
        _leave_evidence(part, name, closing.run, kinds, capabilities, as_json=as_json)
    return 130 if not code and stop.is_set() and plan.rebuild else code


def _leave_evidence(plan: Plan, plan_name: str, run: str, kinds: Mapping[str, Kind], capabilities: Capabilities, *,
                    as_json: bool) -> None:
    """Keep what a whole apply proved, where everything is green; say why there is none where it is not."""
    from engine.planning.evidence import gather, green
    from engine.planning.evidence_file import save_evidence
    from engine.planning.recheck import live_of

    record = gather(plan, plan_name, run, live_of(plan, kinds, capabilities), kinds, making())
    wanting = green(record)
    if wanting:
        show_diagnostics([replace(d, severity=Severity.WARNING) for d in wanting], as_json=as_json)
        return
    path = save_evidence(record, evidence_folder(plan.environment.name))
    if not as_json:
        say(f"Evidence: {path.stem[:12]}. See it: txplan evidence show {plan.environment.name}")


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
    if code not in (0, 4):
        if plan.rebuild:
            say("Go on with this very plan: txplan apply. It knows what is gone, and the next generation.")
        return
    if plan.scope:
        say(f"The chosen part of {name} is done; {len(plan.scope.left_out)} steps were left out.")
    elif plan.destroy and not plan.rebuild:
        say(f"{name} is gone. What was done is kept in {state_dir() / 'journal' / f'{name}.jsonl'}.")
    elif code == 0:
        say(f"{name} serves. See it: txplan status {name}")
