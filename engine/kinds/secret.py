"""Secrets: values in the vault, generated or taken from an environment variable or a file.

Owns when a secret is made or changed. Must not: let a value out of `apply`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from engine.kinds import cloud, wiring
from engine.kinds.base import NOTHING_TO_REMOVE, Needs
from engine.model.address import Address
from engine.model.change import Action, Change, Decision, Diff, Reason
from engine.model.diagnostic import Diagnostic, Refused, error
from engine.model.manifest import Manifest, Secret
from engine.model.observation import Observation
from engine.model.step import Step
from engine.model.value import Attributes, Value
from engine.providers.base import Capabilities, Context, next_of, previous_of


class SecretKind:
    """See the module."""

    name = "secret"
    proves = False
    reads_by = ("name", "source")
    ready_seconds = 5.0

    def steps(self, manifest: Manifest) -> Iterable[Step]:
        """One step a secret."""
        vault = frozenset({wiring.VAULT})
        for item in manifest.secrets:
            yield Step(wiring.secret(item.name), {"name": item.name, "source": _source(item)},
                       vault | cloud.for_secrets(manifest), vault,
                       manifest.where(f"secrets.{item.name}"))

    def observe(self, step: Step, capabilities: Capabilities) -> Observation:
        """Version and fingerprint, and the fingerprint of what its source offers now."""
        vault = Needs(capabilities).secrets
        found = vault.describe(str(step.spec["name"]))
        value, trouble = offered(step.spec["source"])
        notes: dict[str, Value] = {"trouble": trouble} if trouble else {}
        if found is None:
            return Observation(step.address, exists=False, notes=notes)
        attributes: dict[str, Value] = {"version": found.version, "fingerprint": found.fingerprint}
        if value is not None:
            attributes["offered"] = vault.fingerprint(value)
        return Observation(step.address, exists=True, attributes=attributes, notes=notes)

    def decide(self, step: Step, seen: Observation, upstream: Mapping[Address, Action]) -> Decision:
        """Make it where it is missing; renew it where its source offers another value."""
        trouble = seen.notes.get("trouble")
        problem: tuple[Diagnostic, ...] = ()
        if trouble and not seen.exists:
            problem = (error("secret-source", f"The secret {step.spec['name']!r} has no value to take: {trouble}.",
                             mend="Give the source a value, or let the secret be generated.",
                             position=step.source, address=step.address),)
        if not seen.exists:
            return Decision(Action.CREATE, (Reason("absent", "The vault does not hold it yet."),), diagnostics=problem)
        print_ = seen.attributes.get("offered")
        if print_ is not None and print_ != seen.attributes["fingerprint"]:
            return Decision(Action.UPDATE, (Reason("offered", "Its source offers another value.", step.source),),
                            (Diff("fingerprint", seen.attributes["fingerprint"], print_),))
        return Decision(Action.NOOP)

    def decide_delete(self, seen: Observation) -> Decision:
        """Delete what exists."""
        if not seen.exists:
            return NOTHING_TO_REMOVE
        return Decision(Action.DELETE, (Reason("destroy", "The environment is being destroyed."),))

    def apply(self, change: Change, capabilities: Capabilities, context: Context) -> Attributes:
        """Store the value; a generated one is never made twice."""
        vault = Needs(capabilities).secrets
        name = str(change.spec["name"])
        if change.action is Action.DELETE:
            for each in (next_of(name), previous_of(name), name):  # Also what a rotation that was cut off has left.
                vault.delete(each)
            return {}
        source = change.spec["source"]
        value, trouble = offered(source)
        if trouble:
            raise Refused([error("secret-source", f"The secret {name!r} has no value to take: {trouble}.",
                                 address=change.address)])
        if value is None:
            found = vault.describe(name)
            assert isinstance(source, Mapping)
            if found is None:
                found = vault.set(name, secrets.token_urlsafe(int(source["generate_bytes"])))
        else:
            found = vault.set(name, value)
        return {"version": found.version, "fingerprint": found.fingerprint}

    def ready(self, change: Change, capabilities: Capabilities) -> str | None:
        """A stored secret is ready."""
        return None


def _source(item: Secret) -> Attributes:
    if item.from_env is not None:
        return {"from_env": item.from_env}
    if item.from_file is not None:
        return {"from_file": item.from_file}
    return {"generate_bytes": item.generate_bytes or 32}


def offered(source: Value) -> tuple[str | None, str]:
    """The value that the source offers now (None for a generated one), and what is wrong with the source."""
    assert isinstance(source, Mapping)
    if "from_env" in source:
        value = os.environ.get(str(source["from_env"]), "")
        return (value, "") if value else (None, f"the environment variable {source['from_env']} is not set")
    if "from_file" in source:
        try:
            value = Path(str(source["from_file"])).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as problem:
            return None, f"the file {source['from_file']} cannot be read ({type(problem).__name__})"
        return (value, "") if value else (None, f"the file {source['from_file']} is empty")
    return None, ""


KIND = SecretKind()
