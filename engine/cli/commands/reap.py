"""`txplan reap`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.common import (
    AtHand,
    json_option,
    make_plan,
    now,
    open_target,
    out,
    painter,
    plan_path,
    say,
    show_diagnostics,
)
from engine.model.diagnostic import Diagnostic, Refused, error

if TYPE_CHECKING:
    from engine.cli.known import Found
    from engine.model.plan import Plan

_EPILOG = """\b
Examples:
  txplan reap                                    what has expired, and the plans that would destroy it; exit code 2
  txplan reap --warn-days 7                      also what expires within a week
  txplan reap --apply                            destroy it; each environment's name is asked for
  txplan reap --apply --confirm dev-kim --confirm dev-eva   without a terminal; no other is touched
"""


@click.command(epilog=_EPILOG)
@click.option("--warn-days", type=click.IntRange(0), default=3, show_default=True,
              help="Also tell what expires within so many days.")
@click.option("--apply", "applies", is_flag=True, help="Destroy what has expired.")
@click.option("--confirm", "confirmed", multiple=True, metavar="NAME",
              help="An environment that may be destroyed, instead of being asked for its name; again for more.")
@click.option("--parallelism", type=click.IntRange(1, 64), default=8, show_default=True,
              help="How many steps run at once.")
@json_option
@click.pass_context
def command(ctx: click.Context, warn_days: int, applies: bool, confirmed: tuple[str, ...], parallelism: int,
            as_json: bool) -> None:
    """Find what has expired, and plan to destroy it.

    Without --apply nothing is touched: each plan is kept for a review. Expired is what its live ttl tag says, and its
    manifest too: where that has a later ttl, it was extended, and is only to be applied. What name and tags together do
    not identify is never destroyed (P11.1). Every guardrail holds as for txplan destroy.
    """
    from engine.cli.known import look
    from engine.render.listing_text import render

    found = look()
    _known(confirmed, found)
    if not as_json:
        out(render([f.listed for f in found], warn_days, painter()))
    expired = [f for f in found if f.listed.expired]
    codes: list[int] = []
    for one in expired:
        codes.append(_reap(one, applies, confirmed, parallelism, as_json=as_json))
        if codes[-1] == 130:
            break  # Who stops one destroy does not want the next one begun.
    _tell_near(found, warn_days, as_json=as_json)
    if not as_json:
        say(f"Expired: {len(expired)} of {len(found)} environments." + (
            " Nothing was touched." if expired and not applies else ""))
    ctx.exit(max(codes, default=0) if applies else 2 if expired else 0)


def _known(confirmed: tuple[str, ...], found: list[Found]) -> None:
    live = {f.listed.name: f.listed for f in found}
    wrong = [name for name in confirmed if name not in live or not live[name].expired]
    if wrong:
        raise Refused([error("not-expired", f"{name} is not live here, or has not expired.",
                             mend="See what has: txplan reap") for name in wrong])


def _reap(found: Found, applies: bool, confirmed: tuple[str, ...], parallelism: int, *, as_json: bool) -> int:
    """One expired environment: its plan, and with `applies` its end; the exit code."""
    from engine.planning.planfile import save_plan

    name = found.listed.name
    try:
        plan = _plan(found)
        _kept(name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        save_plan(plan, _kept(name))
    except Refused as refused:
        _tell(found, None, refused.diagnostics, as_json=as_json)
        return refused.exit_code
    problems = tuple(v.diagnostic for v in plan.verdicts if v.diagnostic and v.outcome.value == "block")
    _tell(found, plan, problems, as_json=as_json)
    if not applies or not plan.can_apply():
        return plan.exit_code(detailed=False)
    return _end(plan, confirmed, parallelism, as_json=as_json)


def _kept(name: str) -> Path:
    """Where the plan is kept: beside the one that somebody has reviewed, which a schedule must not replace."""
    return plan_path(name).parent / "reap" / f"{name}.json"


def _plan(found: Found) -> Plan:
    """The plan that destroys it; Refused where it is not proven to be expired and ours."""
    listed, compiled = found.listed, found.compiled
    if listed.stranger:
        raise Refused([error("not-ours", f"{listed.name} is not proven to be what its record says.", listed.stranger,
                             "Look whose it is; nothing of it is touched.", rule="P11.1")], exit_code=3)
    if compiled is None:
        raise Refused(found.problems)
    if compiled.manifest.ttl >= now().date():
        raise Refused([error("extended", f"The manifest of {listed.name} says {compiled.manifest.ttl}; its live tags "
                             "do not yet.", position=compiled.manifest.where("ttl"),
                             mend=f"Apply that: txplan apply {listed.manifest}", rule="P3.3")])
    hand = AtHand(compiled.manifest, compiled.kinds, compiled.graph, compiled.environment,
                  open_target(found.known.environment))
    return make_plan(hand, destroy=True)


def _end(plan: Plan, confirmed: tuple[str, ...], parallelism: int, *, as_json: bool) -> int:
    from engine.cli.running import apply_plan, confirm_destroy

    name = plan.environment.name
    try:
        if name not in confirmed:
            if not sys.stdin.isatty():
                raise Refused([error("no-terminal", f"There is no terminal to ask on; {name} is as it was.",
                                     mend=f"Add --confirm {name}")])
            confirm_destroy(plan, None)
        return apply_plan(plan, overrides=(), parallelism=parallelism, as_json=as_json)
    except Refused as refused:
        # One that cannot be destroyed keeps no other one alive.
        show_diagnostics(refused.diagnostics, as_json=as_json)
        return refused.exit_code


def _tell(found: Found, plan: Plan | None, problems: tuple[Diagnostic, ...], *, as_json: bool) -> None:
    from engine.model.change import Action

    listed = found.listed
    if as_json:
        out(json.dumps({"event": "Expired", "environment": listed.name, "ttl": listed.ttl, "days": listed.days_left,
                        "plan": str(_kept(listed.name)) if plan else None,
                        "deletes": plan.counts[Action.DELETE] if plan else None,
                        "can_apply": plan.can_apply() if plan else False}) + "\n")
    elif plan is not None:
        out(f"{listed.name}: {plan.counts[Action.DELETE]} to delete; read it: txplan show {_kept(listed.name)}\n"
            f"  destroy it: txplan apply {_kept(listed.name)}\n"
            f"  keep it:    txplan extend {listed.name} --days 14\n")
    show_diagnostics(problems, as_json=as_json)


def _tell_near(found: list[Found], warn_days: int, *, as_json: bool) -> None:
    from engine.render.listing_text import left, near

    for one in (f.listed for f in found if near(f.listed, warn_days)):
        if as_json:
            out(json.dumps({"event": "Expiring", "environment": one.name, "ttl": one.ttl,
                            "days": one.days_left}) + "\n")
        else:
            say(f"{one.name} expires soon: {left(one)}. Keep it: txplan extend {one.name} --days 14")
