"""Apps: the consumer and the API as revisions on the app host.

A revision is the digest of code and settings. Owns their commands, settings and secrets. Must not: import the service
(it is started by command) or know the host.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from engine.kinds import cloud, wiring
from engine.kinds.base import NOTHING_TO_REMOVE, Needs, because_upstream, short_digest
from engine.kinds.records import active_cutover, set_cutover_state, why_unreadable
from engine.kinds.service import code_digest
from engine.model.address import Address
from engine.model.change import Action, Change, Decision, Diff, Reason
from engine.model.diagnostic import Diagnostic, Refused, error
from engine.model.manifest import Manifest
from engine.model.observation import Observation
from engine.model.step import Step
from engine.model.value import Attributes, Value
from engine.providers.base import AppSpec, AppState, Capabilities, Context, next_of, previous_of

# Recorded with a deployed app: which version of each secret it was started with.
_FINGERPRINTS = "TXPLAN_SECRET_FINGERPRINTS"


class AppKind:
    """See the module."""

    name = "app"
    proves = False
    reads_by = ("role",)
    ready_seconds = 90.0

    def steps(self, manifest: Manifest) -> Iterable[Step]:
        """The consumer, after the backfill (P6.2), and the API, as soon as there is a schema."""
        hubs = {f"HUB_{h.key.upper()}": h.name for h in manifest.hubs}
        schema = frozenset({wiring.SCHEMA, wiring.DATABASE, wiring.POSTGRES})
        yield _step(wiring.CONSUMER, manifest, "consumer", manifest.consumer.replicas,
                    {**hubs, "BATCH_MAX_RECORDS": str(manifest.consumer.batch_records),
                     # Relative: below the replica's own working folder.
                     "STREAM_STATE_DIR": "stream-state"},
                    wiring.CONSUMER_ROLE, [], uses_broker=True,
                    depends_on=schema | {wiring.BACKFILL if manifest.backfill.source else wiring.CUTOVER,
                                         wiring.CUTOVER, wiring.NAMESPACE, wiring.secret(wiring.CONSUMER_SECRET),
                                         *([wiring.REPROCESS] if manifest.reprocess else [])}
                    | cloud.for_broker(manifest), most=min(h.partitions for h in manifest.hubs))
        yield _step(wiring.API, manifest, "api", manifest.api.replicas,
                    {"DLQ_WINDOW_S": f"{manifest.slo.dlq_window.total_seconds():.0f}",
                     "PAIRS_SETTLED_S": f"{manifest.slo.pairs_settled_for.total_seconds():.0f}",
                     **{f"API_{key.upper()}": str(value) for key, value in asdict(manifest.api.limits).items()}},
                    wiring.API_ROLE, [wiring.TOKEN_SECRET],
                    uses_broker=False,
                    depends_on=schema | {wiring.secret(wiring.API_SECRET), wiring.secret(wiring.TOKEN_SECRET)})

    def observe(self, step: Step, capabilities: Capabilities) -> Observation:
        """The deployed revision, its replicas, and what it was started with against what is so now."""
        needs = Needs(capabilities)
        state = needs.apps.describe(step.address.name)
        if state is None:
            return Observation(step.address, exists=False)
        attributes: dict[str, Value] = {"revision": state.revision, "replicas": state.replicas}
        if not why_unreadable(needs.database):
            wanted = _connections(step.spec, needs)
            attributes["outdated"] = sorted(k for k, v in wanted.items() if state.environment.get(k) != v)
        return Observation(step.address, exists=True, attributes=attributes,
                           notes={"endpoints": list(state.endpoints), "running": state.running})

    def decide(self, step: Step, seen: Observation, upstream: Mapping[Address, Action]) -> Decision:
        """Deploy what is missing, of another revision, down, or started with what is no longer so."""
        if not seen.exists:
            return Decision(Action.CREATE, (Reason("absent", "It is not deployed yet."),),
                            (Diff("revision", None, step.spec["revision"]),))
        diffs = tuple(Diff(key, seen.attributes[key], step.spec[key]) for key in ("revision", "replicas")
                      if seen.attributes[key] != step.spec[key])
        reasons = [Reason("differs", f"{d.path} is {d.before} and shall be {d.after}.", step.positions.get(d.path))
                   for d in diffs]
        # How many run is no part of what binds a plan: a replica that restarts makes no plan stale.
        if seen.notes["running"] != seen.attributes["replicas"]:
            reasons.append(Reason("down", f"{seen.notes['running']} of {seen.attributes['replicas']} replicas run."))
        outdated = seen.attributes.get("outdated")
        if isinstance(outdated, list) and outdated:
            reasons.append(Reason("outdated", f"It was started with an older {', '.join(outdated)}."))
        if not reasons and upstream.get(wiring.CUTOVER) is Action.WAIT:
            return Decision(Action.WAIT, because_upstream(upstream, "It reads the group's name when it starts"))
        renewing = {a: action for a, action in upstream.items() if _restarts(a, action)}
        reasons += because_upstream(renewing, "It reads that when it starts")
        return Decision(Action.UPDATE if reasons else Action.NOOP, tuple(reasons), diffs)

    def decide_delete(self, seen: Observation) -> Decision:
        """Stop and forget what is deployed."""
        if not seen.exists:
            return NOTHING_TO_REMOVE
        return Decision(Action.DELETE, (Reason("destroy", "The environment is being destroyed."),))

    def apply(self, change: Change, capabilities: Capabilities, context: Context) -> Attributes:
        """Deploy the revision; connections and secrets are looked up now and go to the processes alone."""
        needs, name = Needs(capabilities), change.address.name
        if change.action is Action.DELETE:
            needs.apps.remove(name, context)
            return {}
        spec = change.spec
        if moved := self.moved(change):
            raise Refused([moved], exit_code=5)
        environment, command = spec["environment"], spec["command"]
        assert isinstance(environment, Mapping) and isinstance(command, list | tuple)
        connections = _connections(spec, needs)
        secrets = dict(needs.database.client_environment(str(spec["role"])))
        if spec["uses_broker"]:
            secrets |= needs.broker.client_environment()
        if change.address == wiring.API:
            secrets |= _both_values(needs)
        state = needs.apps.deploy(AppSpec(
            name, str(spec["revision"]), [sys.executable, *map(str, command)],
            {**{str(k): str(v) for k, v in environment.items()}, **connections, "APP_REVISION": str(spec["revision"])},
            secrets, int(str(spec["replicas"])), max_replicas=int(str(spec.get("max_replicas", 0)))), context)
        record = active_cutover(needs.database)
        if change.address == wiring.CONSUMER and record is not None:
            set_cutover_state(needs.database, record.id, "syncing")
        return {"says": f"revision {state.revision} at {' '.join(state.endpoints)}", "revision": state.revision,
                "endpoints": list(state.endpoints)}

    def moved(self, change: Change) -> Diagnostic | None:
        """Whether the code is another one than the plan was made of."""
        planned, here = str(change.spec["code"]), code_digest()
        return None if planned == here else error(
            "code-moved", f"The plan is for the code {planned[:12]}; here is {here[:12]}.", mend="Plan again.",
            address=change.address)

    def ready(self, change: Change, capabilities: Capabilities) -> str | None:
        """Ready when every replica says so on /readyz."""
        return None if change.action is Action.DELETE else Needs(capabilities).apps.ready(change.address.name)


def _step(address: Address, manifest: Manifest, app: str, replicas: int, environment: Mapping[str, str], role: str,
          secrets: list[str], *, uses_broker: bool, depends_on: frozenset[Address], most: int = 0) -> Step:
    settings: dict[str, Value] = {
        "command": ["-m", "streamapp", app], "environment": dict(environment), "role": role,
        "secrets": sorted([wiring.LOGINS[role], *secrets]), "uses_broker": uses_broker, "code": code_digest()}
    spec: dict[str, Value] = {**settings, "replicas": replicas, "revision": short_digest(settings)}
    if manifest.azure is not None:
        spec["max_replicas"] = most
    return Step(address, spec, depends_on | {wiring.GROUP} | cloud.for_runs(manifest), frozenset({wiring.GROUP}),
                manifest.where(app), {"replicas": manifest.where(f"{app}.replicas"), "revision": manifest.where(app)})


def _connections(spec: Attributes, needs: Needs) -> dict[str, str]:
    """What a deployed app was told that is no part of its revision: addresses, group, secrets' fingerprints."""
    database = needs.database.client_environment(str(spec["role"]))
    found = {key: database[key] for key in ("PGHOST", "PGPORT", "PGDATABASE") if key in database}
    if spec["uses_broker"]:
        broker = needs.broker.client_environment()
        found |= {"KAFKA_BOOTSTRAP": broker["KAFKA_BOOTSTRAP"]} if "KAFKA_BOOTSTRAP" in broker else {}
        record = active_cutover(needs.database)
        found |= {"CONSUMER_GROUP": record.group} if record else {}
    return {**found, _FINGERPRINTS: wanted_fingerprints(spec, needs)}


def wanted_fingerprints(spec: Attributes, needs: Needs) -> str:
    """Of the secrets that the app would be started with now. The API takes the values of a rotation beside the current
    ones, so that it goes on whichever a client or the database takes to be right."""
    names = _names(spec["secrets"])
    if spec["role"] == wiring.API_ROLE:
        names += [beside(name) for name in names for beside in (next_of, previous_of)]
    return json.dumps({name: ref.fingerprint for name in names
                       if (ref := needs.secrets.describe(name)) is not None}, sort_keys=True)


def deployed_fingerprints(state: AppState) -> str | None:
    """Of the secrets that the app was started with."""
    return state.environment.get(_FINGERPRINTS)


def _values(name: str, needs: Needs) -> list[str]:
    """The secret's value, and those of a rotation that is under way; each once."""
    vault = needs.secrets
    beside = [vault.get(n) for n in (next_of(name), previous_of(name)) if vault.describe(n) is not None]
    return list(dict.fromkeys([vault.get(name), *beside]))


def _both_values(needs: Needs) -> dict[str, str]:
    """What the API presents to the database and takes from clients, beside its login."""
    found = {"API_CREDENTIALS": json.dumps({wiring.API_ACTOR: _values(wiring.TOKEN_SECRET, needs)})}
    if other := _values(wiring.API_SECRET, needs)[1:]:
        found["PGPASSWORD_OTHER"] = other[0]
    return found


def _restarts(address: Address, action: Action) -> bool:
    """Whether a dependency's change reaches the app only through a restart."""
    if action in (Action.NOOP, Action.WAIT):
        return False
    if address in (wiring.POSTGRES, wiring.DATABASE, wiring.NAMESPACE):
        return action is not Action.UPDATE  # Made anew, it is another place; changed or started, it is the same one.
    return address.kind == "secret" or address in (wiring.CUTOVER, wiring.REPROCESS)


def _names(value: Value) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list | tuple) else []


KIND = AppKind()
