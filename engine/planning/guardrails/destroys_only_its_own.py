"""P3.3, P11.1: a destructive step runs only on what both naming and tags identify as this environment's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.model.change import Change
from engine.model.diagnostic import error
from engine.model.manifest import Manifest
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Outcome, Verdict
from engine.policy.naming import all_names

_IDENTIFYING = ("env", "owner", "project")


class DestroysOnlyItsOwn:
    """See the module."""

    rule = "P11.1"
    name = "destroys-only-its-own"
    meaning = "Only what both its name and its tags identify as this environment's is destroyed."

    def judge(self, plan: Plan, manifest: Manifest, live: LiveState) -> Iterable[Verdict]:
        """One verdict for all that passes, one for each resource that does not."""
        mine = {key: plan.environment.tags[key] for key in _IDENTIFYING}
        names = set(all_names(manifest.names).values())
        passed = []
        for change in plan.changes:
            if not change.action.destroys or change.address.kind != "resource":
                continue
            wrong = _wrong(change, live, names, mine) if "tags" in change.spec else _loose(change, plan)
            if wrong:
                yield Verdict(self.rule, self.name, Outcome.BLOCK, wrong, change.address, error(
                    "not-ours", f"{change.address} is not proven to be this environment's.", wrong,
                    "Take it out of the environment, or give it the name and tags that say whose it is.",
                    address=change.address, rule=self.rule))
            else:
                passed.append(str(change.spec["name"]))
        evidence = f"name and tags agree on {', '.join(sorted(passed))}" if passed else "nothing is destroyed"
        yield Verdict(self.rule, self.name, Outcome.PASS, evidence)


def _loose(change: Change, plan: Plan) -> str:
    """What is inside another resource has no tags of its own: its container must be one of the environment's."""
    container = str(change.spec.get("namespace") or change.spec.get("server"))
    inside = any("tags" in c.spec and c.spec.get("name") == container for c in plan.changes)
    return "" if inside else f"it lies in {container}, which is none of the environment's resources"


def _wrong(change: Change, live: LiveState, names: set[str], mine: Mapping[str, str]) -> str:
    name = str(change.spec["name"])
    if name not in names:
        return f"the name {name} is none of the environment's names"
    tags = live.by_address[change.address].attributes.get("tags")
    tags = tags if isinstance(tags, Mapping) else {}
    differing = [f"{key} is {tags.get(key)!r} and not {value!r}" for key, value in mine.items()
                 if tags.get(key) != value]
    return "; ".join(differing)


GUARDRAIL = DestroysOnlyItsOwn()
