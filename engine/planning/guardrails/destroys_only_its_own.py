"""P3.3, P11.1: a destructive step runs only on what both naming and tags identify as this environment's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from datetime import datetime

from engine.model.change import Change
from engine.model.diagnostic import error
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.guardrails.verdicts import blocked, passed
from engine.policy.naming import all_names, names_of

IDENTIFYING = ("env", "owner", "project")
"""The tags that say whose a resource is."""

_CONTAINERS = ("namespace", "server", "registry", "scope", "network")
"""The keys of a spec that name what holds it."""


class DestroysOnlyItsOwn:
    """See the module."""

    rule = "P11.1"
    name = "destroys-only-its-own"
    meaning = "Only what both its name and its tags identify as this environment's is destroyed."
    overridable = False

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """One verdict for all that passes, one for each resource that does not."""
        mine = {key: plan.environment.tags[key] for key in IDENTIFYING}
        names = set(all_names(names_of(plan.environment)).values())
        containers = {c.spec.get("name") for c in plan.changes if "tags" in c.spec}
        own = []
        for change in plan.changes:
            if not change.action.destroys or change.address.kind != "resource":
                continue
            seen = live.by_address.get(change.address)
            if seen is None or not seen.exists:
                continue  # An earlier run of this plan has removed it.
            tags = seen.attributes.get("tags")
            wrong = _wrong(change, tags, names, mine) if "tags" in change.spec else _loose(change, containers)
            if wrong:
                yield blocked(self, wrong, error(
                    "not-ours", f"{change.address} is not proven to be this environment's.", wrong,
                    "Take it out of the environment, or give it the name and tags that say whose it is.",
                    address=change.address, rule=self.rule), change.address)
            else:
                own.append(str(change.spec["name"]))
        yield passed(self, f"name and tags agree on {', '.join(sorted(own))}" if own else "nothing is destroyed")


def _loose(change: Change, containers: Set[object]) -> str:
    """What is inside another resource has no tags of its own: its container must be one of the environment's."""
    container = next((str(change.spec[key]) for key in _CONTAINERS if change.spec.get(key)), "nothing")
    return "" if container in containers else f"it lies in {container}, which is none of the environment's resources"


def _wrong(change: Change, tags: object, names: set[str], mine: Mapping[str, str]) -> str:
    name = str(change.spec["name"])
    if name not in names:
        return f"the name {name} is none of the environment's names"
    return "; ".join(differing(tags, mine))


def differing(tags: object, mine: Mapping[str, str]) -> list[str]:
    """How live tags differ from those that identify the environment, in words."""
    live = tags if isinstance(tags, Mapping) else {}
    return [f"{key} is {live.get(key)!r} and not {value!r}" for key, value in mine.items() if live.get(key) != value]


GUARDRAIL = DestroysOnlyItsOwn()
