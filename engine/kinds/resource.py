"""Resources: what an environment is made of (P3), each realised by a resource type of the target.

Owns the specs of all resource types and the one generic diff. Must not: know how a target realises a type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.kinds import cloud, wiring
from engine.kinds.base import NOTHING_TO_REMOVE, because_upstream
from engine.kinds.building import inside, owned
from engine.kinds.service import code_digest
from engine.model.address import Address
from engine.model.change import Action, Change, Decision, Diff, Reason
from engine.model.diagnostic import Refused, error
from engine.model.difference import same
from engine.model.manifest import Manifest
from engine.model.observation import Observation
from engine.model.step import Step
from engine.model.value import Attributes, Value
from engine.policy.naming import name as resource_name
from engine.providers.base import Capabilities, Context, ResourceType


class ResourceKind:
    """See the module."""

    name = "resource"
    proves = False
    reads_by = ("type", "name")
    ready_seconds = 120.0

    def steps(self, manifest: Manifest) -> Iterable[Step]:
        """One step a resource, in the order in which they contain each other."""
        group = frozenset({wiring.GROUP})
        yield owned(manifest, wiring.GROUP, "group", "rg", cloud.located(manifest))
        yield owned(manifest, wiring.VAULT, "vault", "kv", cloud.vault(manifest), lives_in=group)
        yield owned(
            manifest, wiring.POSTGRES, "postgres", "pg",
            {"version": manifest.postgres.version, "parameters": dict(manifest.postgres.parameters),
             "admin_secret": wiring.ADMIN_SECRET, **cloud.postgres(manifest)},
            lives_in=group, depends_on={wiring.secret(wiring.ADMIN_SECRET)})
        yield inside(
            manifest, wiring.DATABASE, "database", manifest.postgres.database, "postgres.database",
            {"owner": wiring.MIGRATOR, "logins": dict(wiring.LOGINS), "server": resource_name(manifest.names, "pg")},
            lives_in={wiring.POSTGRES},
            depends_on={wiring.secret(s) for s in wiring.LOGINS.values()} | cloud.for_database(manifest))
        password = manifest.broker.password if manifest.azure is None else None
        yield owned(manifest, wiring.NAMESPACE, "namespace", "evh",
                    cloud.namespace(manifest) or self._broker(manifest), lives_in=group,
                    depends_on={wiring.secret(password)} if password else set())
        for hub in manifest.hubs:
            yield inside(manifest, wiring.hub(hub.key), "hub", hub.name, f"hubs.{hub.key}",
                         {"partitions": hub.partitions, "retention_hours": hub.retention.total_seconds() / 3600,
                          "namespace": resource_name(manifest.names, "evh")}, lives_in={wiring.NAMESPACE})
        yield from cloud.steps(manifest, code_digest())

    @staticmethod
    def _broker(manifest: Manifest) -> dict[str, Value]:
        broker = manifest.broker
        spec: dict[str, Value] = {"engine": broker.engine}
        if broker.engine == "external":
            spec |= {"bootstrap": broker.bootstrap, "security_protocol": broker.security_protocol,
                     "sasl_mechanism": broker.sasl_mechanism, "username": broker.username,
                     "password": broker.password, "ca_file": broker.ca_file}
        return spec

    def observe(self, step: Step, capabilities: Capabilities) -> Observation:
        """The live values of the spec's keys, as the target's resource type reads them."""
        attributes = _type(step.address, step.spec, capabilities).observe(str(step.spec["name"]))
        if attributes is None:
            return Observation(step.address, exists=False)
        resource = _type(step.address, step.spec, capabilities)
        inside = resource.foreign(str(step.spec["name"]))
        notes: dict[str, Value] = {
            "immutable": sorted(resource.immutable), "grows": sorted(resource.grows),
            # No part of what binds a plan: a guardrail judges it anew before an apply.
            "foreign": None if inside is None else [{"what": f.what, "why": f.why} for f in inside]}
        return Observation(step.address, exists=True, attributes=attributes, notes=notes)

    def decide(self, step: Step, seen: Observation, upstream: Mapping[Address, Action]) -> Decision:
        """Differences of declared keys alone; an immutable one replaces; `needs` of the live side is mended."""
        if not seen.exists:
            return Decision(Action.CREATE, (Reason("absent", "It does not exist yet."),))
        immutable = set(_strings(seen.notes.get("immutable")))
        grows = set(_strings(seen.notes.get("grows")))
        diffs = tuple(Diff(key, seen.attributes[key], step.spec[key], key in immutable or (
            key in grows and _shrinks(seen.attributes[key], step.spec[key])))
                      for key in sorted(step.spec)
                      if key in seen.attributes and not same(seen.attributes[key], step.spec[key]))
        reasons = [Reason("differs", f"{d.path} is {d.before!r} and is declared as {d.after!r}"
                          + ("; it cannot change in place." if d.replaces else "."), step.positions.get(d.path))
                   for d in diffs]
        reasons += [Reason("needs", f"The live one needs: {need}.") for need in _strings(seen.attributes.get("needs"))]
        # Before the apps that log in with it start again, the server has to know the new one.
        renewed = {a: action for a, action in upstream.items()
                   if a.kind == "secret" and action not in (Action.NOOP, Action.WAIT)}
        reasons += because_upstream(renewed, "It keeps that")
        if any(d.replaces for d in diffs):
            return Decision(Action.REPLACE, tuple(reasons), diffs)
        return Decision(Action.UPDATE if reasons else Action.NOOP, tuple(reasons), diffs)

    def decide_delete(self, seen: Observation) -> Decision:
        """Delete what exists."""
        if not seen.exists:
            return NOTHING_TO_REMOVE
        return Decision(Action.DELETE, (Reason("destroy", "The environment is being destroyed."),))

    def apply(self, change: Change, capabilities: Capabilities, context: Context) -> Attributes:
        """Create, update, replace or delete by the target's type."""
        resource = _type(change.address, change.spec, capabilities)
        name = str(change.spec["name"])
        if change.action.destroys:
            resource.delete(name, context)
        if change.action is not Action.DELETE:
            resource.apply(name, {k: v for k, v in change.spec.items() if k != "type"}, context)
        return {}

    def ready(self, change: Change, capabilities: Capabilities) -> str | None:
        """Whether the resource serves."""
        if change.action is Action.DELETE:
            return None
        return _type(change.address, change.spec, capabilities).ready(str(change.spec["name"]))


def _shrinks(before: Value, after: Value) -> bool:
    return isinstance(before, int | float) and isinstance(after, int | float) and after < before


def _strings(value: Any) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list | tuple) else []


def _type(address: Address, spec: Attributes, capabilities: Capabilities) -> ResourceType:
    found = capabilities.resources.get(str(spec["type"]))
    if found is None:
        raise Refused([error("no-resource-type", f"This target has no resource type {spec['type']!r}.",
                             mend="Choose another target.", address=address)])
    return found


KIND = ResourceKind()
