"""P10.1, P10.2: a public environment is never hardened in place; the secure one is made beside it, then cut over to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from engine.model.diagnostic import error
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.value import Value
from engine.model.verdict import Verdict
from engine.planning.guardrails.verdicts import blocked, passed

# Value by key: what is open to whoever reaches it.
_PUBLIC: Mapping[str, frozenset[Value]] = {
    "security_protocol": frozenset({None, "", "PLAINTEXT"}),
    "public_network_access": frozenset({"Enabled"}),
}


class SecureBeside:
    """See the module. A broker without a protocol of its own is one of this machine's, in plain text."""

    rule = "P10.1"
    name = "secure-beside"
    meaning = "No live resource turns from public to secure; a secure environment is made beside the public one."
    overridable = False

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """Blocks each live resource that is public and is declared as secure."""
        wrong = []
        for change in plan.changes:
            seen = live.by_address.get(change.address)
            if plan.destroy or change.address.kind != "resource" or seen is None or not seen.exists:
                continue
            for key, public in _PUBLIC.items():
                before, after = seen.attributes.get(key), change.spec.get(key)
                if key in change.spec and before in public and after not in public:
                    evidence = f"{change.address} {key}: {before or 'PLAINTEXT'} → {after}"
                    wrong.append(blocked(self, evidence, error(
                        "hardened-in-place", f"{change.address} would turn from public to secure in place.", evidence,
                        _beside(plan), position=change.positions.get(key), address=change.address, rule=self.rule),
                        change.address))
        yield from wrong or [passed(self, "no live resource turns from public to secure")]


def _beside(plan: Plan) -> str:
    env = plan.environment
    return (f"Build beside it: txplan init --owner {env.owner} with another --env than {env.env}, declare the secure "
            f"values there, apply it (it loads and syncs by itself), move the callers over, then destroy {env.name}.")


GUARDRAIL = SecureBeside()
