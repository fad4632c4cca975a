"""What commands share: where state lies, how things are shown, how a manifest becomes an environment at hand."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

import click

from engine.model.diagnostic import Diagnostic, Refused, Severity, error, warning

if TYPE_CHECKING:
    from engine.kinds.base import Kind
    from engine.model.evidence import Promotion
    from engine.model.manifest import Manifest, Reprocess
    from engine.model.observation import LiveState
    from engine.model.plan import Making, Plan
    from engine.model.step import Environment
    from engine.model.value import Attributes
    from engine.model.verdict import Override
    from engine.planning.graph import Graph
    from engine.providers.base import Capabilities, Known

F = TypeVar("F", bound=Callable[..., Any])

STATE = "TXPLAN_STATE_DIR"

VALID_FOR = timedelta(days=1)
"""For how long a plan is good where nobody says otherwise."""


def state_dir() -> Path:
    """Where plans, journals, locks and local environments lie: TXPLAN_STATE_DIR, or the nearest `.txplan` in this
    folder and those above it, so that a step into a folder below finds the same environments; else `.txplan` here."""
    named = os.environ.get(STATE)
    if named:
        return Path(named)
    here = Path.cwd()
    found = next((folder / ".txplan" for folder in (here, *here.parents) if (folder / ".txplan").is_dir()), None)
    return Path(".txplan") if found is None or found.parent == here else found


def now() -> datetime:
    """The clock, in UTC: the one place where commands read it."""
    return datetime.now(UTC)


def json_option(command: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for machines.")(command)


def override_options(command: F) -> F:
    """`--override NAME` and `--reason TEXT`."""
    reason = click.option("--reason", metavar="TEXT", help="Why; the plan and the journal keep it.")
    return click.option("--override", "overridden", multiple=True, metavar="NAME",
                        help="Accept what this guardrail refuses, where the policy allows it.")(reason(command))


def asked_overrides(names: tuple[str, ...], reason: str | None) -> tuple[Override, ...]:
    """What the two options ask for; raises Refused where it cannot be had."""
    from engine.planning import guardrails

    return guardrails.asked_overrides(names, reason, guardrails.discover())


def colour() -> bool:
    """Whether standard output is a terminal whose user wants colour."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painter() -> Callable[[str, str], str]:
    """Colour for a terminal, plain text for everything else."""
    from engine.render.paint import coloured, plain

    return coloured if colour() else plain


def out(text: str) -> None:
    """Write text to standard output as it is."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (OSError, AttributeError) as problem:
        raise Refused([error("output-unwritable", "The output cannot be written.", str(problem),
                             "Give standard output a place that takes it.")]) from problem


def say(text: str) -> None:
    """Write a line for people to standard error, where it spoils no pipe."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def show_diagnostics(found: Iterable[Diagnostic], *, as_json: bool = False) -> None:
    """Diagnostics to standard error, or as JSON lines to standard output."""
    from engine.model.codec import encode
    from engine.render import words
    from engine.render.paint import coloured, plain

    paint = coloured if sys.stderr.isatty() and not os.environ.get("NO_COLOR") else plain
    for diagnostic in found:
        if as_json:
            out(json.dumps({"event": "Diagnostic", **encode(diagnostic)}, ensure_ascii=False) + "\n")
        else:
            say(words.diagnostic(diagnostic, paint))


def fail(failure: Exception) -> int:
    """Show what ended a command; its exit code. Anything but Refused is a bug, and says so with its place."""
    as_json = "--json" in sys.argv[1:]
    if isinstance(failure, Refused):
        show_diagnostics(failure.diagnostics, as_json=as_json)
        return failure.exit_code
    if os.environ.get("TXPLAN_TRACEBACK"):
        raise failure
    last = failure.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    place = f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}" if last else "an unknown place"
    show_diagnostics([error("bug", f"txplan failed in a way it did not expect: {type(failure).__name__}.",
                            f"{failure} (at {place})",
                            "Please report it; TXPLAN_TRACEBACK=1 shows where it came from.")], as_json=as_json)
    return 1


def read_manifest(path: Path, *, as_json: bool = False) -> Manifest:
    """The manifest, its warnings shown; raises Refused with all its errors."""
    from engine.load import load_manifest

    manifest, found = load_manifest(path, today=now().date())
    if manifest is None:
        raise Refused(found)
    show_diagnostics((d for d in found if d.severity is Severity.WARNING), as_json=as_json)
    return manifest


def open_target(environment: Environment) -> Capabilities:
    """What the environment's target offers."""
    if environment.target == "local":
        from engine.providers.local import open_target as open_local

        return open_local(environment, state_dir())
    from engine.policy.naming import all_names, names_of

    try:
        from engine.providers.azure import open_target as open_azure
    except ModuleNotFoundError as problem:
        raise Refused([error("no-target", "This txplan was installed without the packages for Azure.", str(problem),
                             "Install them: pip install 'txplan[azure]'")]) from problem
    return open_azure(environment, all_names(names_of(environment)), state_dir())


@dataclass(frozen=True)
class Compiled:
    """A manifest's environment: its graph and its kinds."""

    manifest: Manifest
    kinds: dict[str, Kind]
    graph: Graph
    environment: Environment


@dataclass(frozen=True)
class AtHand(Compiled):
    """An environment with what its target offers."""

    capabilities: Capabilities


def compiled(path: Path, *, as_json: bool = False, reprocess: Reprocess | None = None) -> Compiled:
    """Load and compile the manifest, with what is asked beside it; its target is not opened."""
    from engine.kinds.base import discover
    from engine.planning.graph import compile_graph, environment_of

    manifest = replace(read_manifest(path, as_json=as_json), reprocess=reprocess)
    kinds = discover()
    return Compiled(manifest, kinds, compile_graph(manifest, kinds), environment_of(manifest))


def at_hand(path: Path, *, as_json: bool = False, reprocess: Reprocess | None = None) -> AtHand:
    """Load and compile the manifest and open its target; nothing is touched yet."""
    found = compiled(path, as_json=as_json, reprocess=reprocess)
    return AtHand(found.manifest, found.kinds, found.graph, found.environment, open_target(found.environment))


def plan_path(environment: str) -> Path:
    """Where the last plan of an environment lies."""
    return state_dir() / "plans" / f"{environment}.json"


def last_plan_path() -> Path:
    """Where the name of the environment that was planned last lies."""
    return state_dir() / "plans" / "last"


def evidence_folder(environment: str) -> Path:
    """Where the evidence of an environment lies."""
    return state_dir() / "evidence" / environment


def actor() -> str:
    """Who asks, for an audit row: `user@host`."""
    import socket

    return f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # A container's user need not be in the table of users.
        return f"uid {os.getuid()}"


def making(valid_for: timedelta = VALID_FOR, overrides: tuple[Override, ...] = (),
           environment: str | None = None) -> Making:
    """When, by whom and with what a plan is made here and now, with how its steps went here before."""
    import socket

    from engine.applying.experience import experience
    from engine.applying.journal import Journal
    from engine.load.prices import load_prices
    from engine.model.plan import Making
    from engine.version import tool_version

    return Making(now(), valid_for, _user(), socket.gethostname(), tool_version(), overrides,
                  experience(Journal(state_dir() / "journal" / f"{environment}.jsonl")) if environment else {},
                  load_prices())


class Asked(TypedDict, total=False):
    """What somebody may ask of a plan; everything has a default."""

    destroy: bool
    recreate: bool
    prune: bool
    valid_for: timedelta
    overrides: tuple[Override, ...]
    only: tuple[str, ...]
    exclude: tuple[str, ...]
    prove: bool
    promotion: Promotion | None


def make_plan(hand: AtHand, **asked: Unpack[Asked]) -> Plan:
    """Observe and plan."""
    from engine.planning.observe import observe

    return _plan(hand, observe(hand.graph.steps.values(), hand.kinds, hand.capabilities), None, **asked)


def offline_plan(hand: Compiled, snapshot: Path, **asked: Unpack[Asked]) -> Plan:
    """Plan from a snapshot file in place of the live environment."""
    from engine.planning.snapshot import live_of, load_snapshot

    kept = load_snapshot(snapshot)
    return _plan(hand, live_of(kept, hand.environment, hand.graph, hand.kinds), kept.made_at, **asked)


def _plan(hand: Compiled, live: LiveState, snapshot_at: datetime | None, **asked: Unpack[Asked]) -> Plan:
    from engine.planning import guardrails
    from engine.planning.planner import make_plan as pure_plan
    from engine.planning.selection import Selection

    return pure_plan(hand.manifest, hand.graph, live, hand.kinds, guardrails.discover(),
                     making(asked.get("valid_for", VALID_FOR), asked.get("overrides", ()), hand.environment.name),
                     destroy=asked.get("destroy", False), recreate=asked.get("recreate", False),
                     prune=asked.get("prune", False), prove=asked.get("prove", False), snapshot_at=snapshot_at,
                     selection=Selection(asked.get("only", ()), asked.get("exclude", ())),
                     promotion=asked.get("promotion"))


def remember(plan: Plan) -> None:
    """Keep the plan as the one last reviewed."""
    from engine.planning.planfile import save_plan, write_private

    try:
        last_plan_path().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        save_plan(plan, plan_path(plan.environment.name))
        write_private(last_plan_path(), plan.environment.name + "\n")
    except (OSError, Refused) as problem:
        raise Refused([error("state-unwritable", f"The state folder {state_dir()} cannot be written.", str(problem),
                             f"Make it writable, or name another one in {STATE}.")]) from problem


def known_environments() -> list[Known]:
    """All environments that are live here, by name; what else lies among them is told."""
    from engine.providers.local import known

    found, nameless = known(state_dir())
    show_diagnostics((warning("nameless", f"{folder} is an environment's folder, and its record does not say whose.",
                              mend="Write the record anew (txplan apply MANIFEST --prove), or look what it is.")
                      for folder in nameless), as_json="--json" in sys.argv[1:])
    return found


def specs_of(name: str) -> tuple[Environment, Mapping[str, Attributes]]:
    """The environment of a manifest path, or of a name that was planned here before, and what its steps shall be: by
    address, of the manifest, or of the plan last made."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        hand = compiled(path)
        return hand.environment, {str(a): step.spec for a, step in hand.graph.steps.items()}
    from engine.planning.planfile import load_plan

    environment = known_environment(name)
    return environment, {str(c.address): c.spec for c in load_plan(plan_path(name)).changes}


def known_environment(name: str) -> Environment:
    """The environment of a manifest path, or of a name that is live or was planned here."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        from engine.planning.graph import environment_of

        return environment_of(read_manifest(path))
    from engine.planning.planfile import load_plan

    stored, live = plan_path(name), {k.environment.name: k.environment for k in known_environments()}
    if name in live:
        return live[name]
    if not stored.is_file():
        names = ", ".join(sorted({*live, *(p.stem for p in stored.parent.glob("*.json"))})) or "none"
        raise Refused([error("unknown-environment", f"No environment {name!r} was planned here.",
                             f"Known here: {names}.", "Name a manifest, or plan one first.")])
    return load_plan(stored).environment


def environment_name(env: str) -> str:
    """The name of the environment of a manifest's path, or the name as it was given; it need not be known here."""
    if env.endswith((".yaml", ".yml")) or Path(env).is_file():
        return known_environment(env).name
    return env
