"""P3.2: a secret is named, and lives in the vault; its text is in no manifest and in no plan."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from engine.model.diagnostic import error
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning.guardrails.verdicts import blocked, passed
from engine.policy.credentials import credentials

# Mappings whose keys are the user's own, so that a key may say what its value is.
_OWN_KEYS = ("tags", "parameters")


class NoSecretAsText:
    """See the module. A manifest is looked through when it is read, before its values reach a plan; a plan file once
    more, for it may have been edited."""

    rule = "P3.2"
    name = "no-secret-as-text"
    meaning = "No value of a manifest or a plan looks like a password, a key or a token."
    overridable = False

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """Blocks each step whose spec holds what looks like a credential; never shows it."""
        clean = True
        for change in plan.changes:
            for key, value in change.spec.items():
                for path, shape in credentials(key, value, named=key in _OWN_KEYS):
                    clean = False
                    evidence = f"{path} looks like {shape}"
                    yield blocked(self, evidence, error(
                        "secret-as-text", f"{change.address} holds a secret as text: {evidence}.", evidence,
                        "Take it out, make it an entry of secrets, and change it: it has been written down.",
                        position=change.positions.get(key), address=change.address, rule=self.rule), change.address)
        if clean:
            yield passed(self, f"the values of {len(plan.changes)} steps were looked at; none looks like a credential")


GUARDRAIL = NoSecretAsText()
