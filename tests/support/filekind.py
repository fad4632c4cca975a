"""A kind of step that is a file on this disk: the smallest real thing that a plan can be bound to.

Its live state is the file's JSON object; apply writes its spec there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.kinds.base import NOTHING_TO_REMOVE
from engine.model.address import Address
from engine.model.change import Action, Change, Decision, Diff, Reason
from engine.model.difference import differences
from engine.model.manifest import Manifest
from engine.model.observation import Observation
from engine.model.plan import FORMAT_VERSION, Plan
from engine.model.step import Environment, Step
from engine.model.value import Attributes
from engine.model.verdict import DestroyLimit
from engine.providers.base import Capabilities, Context

ENVIRONMENT = Environment("dev-kim", "local", "txlookup", "team4", "kim", "dev", {}, "tx", "d")


class FileKind:
    """Steps `file.<name>`, each the file `<name>.json` in `folder`."""

    name = "file"
    proves = False
    reads_by = ()
    ready_seconds = 1.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, address: Address) -> Path:
        return self.folder / f"{address.name}.json"

    def steps(self, manifest: Manifest) -> Iterable[Step]:
        return ()

    def observe(self, step: Step, capabilities: Capabilities) -> Observation:
        path = self.path(step.address)
        if not path.exists():
            return Observation(step.address, exists=False)
        return Observation(step.address, exists=True, attributes=json.loads(path.read_text()))

    def decide(self, step: Step, seen: Observation, upstream: Mapping[Address, Action]) -> Decision:
        if not seen.exists:
            return Decision(Action.CREATE, (Reason("absent", "It does not exist yet."),))
        diffs: tuple[Diff, ...] = differences(seen.attributes, step.spec)
        return Decision(Action.UPDATE if diffs else Action.NOOP, (), diffs)

    def decide_delete(self, seen: Observation) -> Decision:
        return Decision(Action.DELETE) if seen.exists else NOTHING_TO_REMOVE

    def apply(self, change: Change, capabilities: Capabilities, context: Context) -> Attributes:
        if change.action is Action.DELETE:
            self.path(change.address).unlink()
        else:
            self.path(change.address).write_text(json.dumps(change.spec))
        return {}

    def ready(self, change: Change, capabilities: Capabilities) -> str | None:
        return None


def change(kind: FileKind, name: str, spec: Attributes, waits_for: frozenset[Address] = frozenset()) -> Change:
    """The change that makes file `name` hold `spec`, as the planner would write it now."""
    step = Step(Address("file", name), spec, waits_for)
    seen = kind.observe(step, Capabilities({}, None))  # type: ignore[arg-type]
    decision = kind.decide(step, seen, {})
    return Change(step.address, decision.action, spec, waits_for, seen.digest,
                  seen.attributes if seen.exists else None, decision.reasons, decision.diffs)


def plan_of(*changes: Change, made: datetime | None = None, valid_for: timedelta = timedelta(days=1)) -> Plan:
    """A plan of these changes, made now."""
    made = made or datetime.now(UTC)
    return Plan(FORMAT_VERSION, "0.1.0", "kim", "laptop", ENVIRONMENT, False, "m.yaml", "0" * 64, "0" * 64, made,
                made + valid_for, changes, max_destroy=DestroyLimit(2, 0.3))
