"""How a secret is rotated while it is in use: as stages, decided from what is live.

A value is never replaced in one moment: first everything that checks it learns to take the new one beside the old one,
then those that present it change over, and then the old one is forgotten. The vault holds the two values under names
beside the secret's own, so a rotation that was cut off anywhere is read off the vault and goes on from there; an
ordinary apply in the midst of one breaks nothing either.

Owns which stages there are, in which order, and what a stage does to vault, server and apps. Must not: show a value, or
decide when somebody has agreed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from engine.kinds import wiring
from engine.kinds.app import deployed_fingerprints, wanted_fingerprints
from engine.kinds.base import Needs
from engine.kinds.secret import offered
from engine.model.address import Address
from engine.model.change import Action
from engine.model.diagnostic import Refused, error
from engine.model.difference import same
from engine.model.step import Step
from engine.model.value import Attributes, Value
from engine.providers.base import Capabilities, Context, Progress, next_of, previous_of

_POLL_S = 0.2

Bring = Callable[[Address, Context], None]
"""Brings one step of the environment up to date and waits until it serves."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its name, what it does in words, and the doing. `restarts` names the app that it restarts."""

    name: str
    text: str
    run: Callable[[Context], None]
    action: Action = Action.UPDATE
    restarts: Address | None = None


@dataclass(frozen=True, slots=True)
class Rotation:
    """What is to be done. `begun`: an earlier one was cut off, and this is its rest."""

    secret: str
    stages: tuple[Stage, ...]
    begun: bool
    notes: tuple[str, ...]


def plan_rotation(name: str, steps: Mapping[Address, Step], capabilities: Capabilities, bring: Bring,
                  overlap: timedelta) -> Rotation:
    """The stages that are left for the secret `name`; raises Refused where it cannot be rotated now.

    `overlap` is how long the old value of a credential that others present is accepted after the new one is given out.
    """
    needs = Needs(capabilities)
    _refuse_unknown(name, steps, needs)
    users = _users(name, steps)
    unfinished = _refuse_pending(users, steps, needs)
    vault = needs.secrets
    staged, switched = vault.describe(next_of(name)), vault.describe(previous_of(name))
    server = _server(name)
    behind = server is not None and _behind(steps[server].spec, capabilities)
    rest = not staged and not switched and (unfinished or behind)
    make = _Stages(name, steps, needs, bring)
    stages = []
    if not rest:
        if not staged and not switched:
            stages.append(make.stage())
        if not switched or staged:
            stages += [make.restart(a, "both values are accepted") for a in users if a == wiring.API]
            stages.append(make.switch())
    if server is not None:
        stages.append(make.server(server))
    if not rest:
        if name == wiring.TOKEN_SECRET and overlap:
            stages.append(_wait(overlap))
        stages.append(make.retire())
    stages += [make.restart(a, "only the new value is used") for a in users]
    return Rotation(name, tuple(stages), bool(staged or switched or rest), _notes(stages, steps))


class _Stages:
    """Makes the stages of one secret."""

    def __init__(self, name: str, steps: Mapping[Address, Step], needs: Needs, bring: Bring) -> None:
        self._name, self._steps, self._needs, self._bring = name, steps, needs, bring

    def stage(self) -> Stage:
        source = self._steps[wiring.secret(self._name)].spec["source"]
        value = _new_value(self._name, source, self._needs)
        return Stage("stage", "a new value is kept beside the current one",
                     lambda _: _set(self._needs, next_of(self._name), value), Action.CREATE)

    def switch(self) -> Stage:
        def run(_: Context) -> None:
            vault = self._needs.secrets
            new = vault.get(next_of(self._name))
            current = vault.get(self._name)
            # In this order a kill in between leaves both values in the vault, and the next run does the same again.
            if current != new:
                vault.set(previous_of(self._name), current)
                vault.set(self._name, new)
            vault.delete(next_of(self._name))

        return Stage("switch", f"the vault gives out the new value as {self._name}", run)

    def server(self, address: Address) -> Stage:
        return Stage("server", f"{address}: the login's password is changed; sessions go on",
                     lambda context: self._bring(address, context))

    def retire(self) -> Stage:
        return Stage("retire", "the old value is forgotten",
                     lambda _: self._needs.secrets.delete(previous_of(self._name)), Action.DELETE)

    def restart(self, address: Address, why: str) -> Stage:
        count = self._steps[address].spec["replicas"]
        each = f"{count} replicas, one after the other" if count != 1 else "its one replica"
        return Stage("restart", f"{address}, {each}: {why}", lambda context: self._bring(address, context),
                     restarts=address)


def _set(needs: Needs, name: str, value: str) -> None:
    needs.secrets.set(name, value)


def _wait(overlap: timedelta) -> Stage:
    seconds = overlap.total_seconds()

    def run(context: Context) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if context.cancelled():
                raise Refused([error("interrupted", "The rotation was told to stop while both values are accepted.",
                                     mend="Rotate again to go on.")], exit_code=130)
            context.emit(Progress(int(seconds - left), int(seconds), "s", left, "clients take the new value"))
            time.sleep(min(_POLL_S, left))

    return Stage("wait", f"{seconds:g} s in which clients take the new value; both are accepted", run, Action.RUN)


def _new_value(name: str, source: Value, needs: Needs) -> str:
    """A generated value, or what the source offers now; Refused where that is the current one."""
    assert isinstance(source, Mapping)
    if "generate_bytes" in source:
        return secrets.token_urlsafe(int(str(source["generate_bytes"])))
    value, trouble = offered(source)
    if value is None:
        raise Refused([error("secret-source", f"The secret {name!r} has no value to take: {trouble}.")])
    if value == needs.secrets.get(name):
        raise Refused([error("nothing-new", f"The source of {name!r} still offers the current value.",
                             "Its value is not generated here, so a new one has to come from there.",
                             "Give the source another value, and rotate again.")])
    return value


def _users(name: str, steps: Mapping[Address, Step]) -> list[Address]:
    """The apps that are started with it, the API first: it is the one that others wait for."""
    apps = (wiring.API, wiring.CONSUMER)
    return [a for a in apps if a in steps and name in _names(steps[a].spec["secrets"])]


def _server(name: str) -> Address | None:
    if name == wiring.ADMIN_SECRET:
        return wiring.POSTGRES
    return wiring.DATABASE if name in wiring.LOGINS.values() else None


def _refuse_unknown(name: str, steps: Mapping[Address, Step], needs: Needs) -> None:
    known = sorted({wiring.TOKEN_SECRET, wiring.ADMIN_SECRET, *wiring.LOGINS.values()})
    if name not in known:
        raise Refused([error("not-rotatable", f"txplan does not rotate {name!r}.", f"It rotates {', '.join(known)}.",
                             "Another system checks other secrets: change it there and in the secret's source, and "
                             "apply.")])
    if wiring.secret(name) not in steps or needs.secrets.describe(name) is None:
        raise Refused([error("no-secret", f"The vault holds no secret {name!r} yet.",
                             mend="Apply the manifest first.")])


def _refuse_pending(users: list[Address], steps: Mapping[Address, Step], needs: Needs) -> bool:
    """Whether a user still has to be restarted for its secrets alone; Refused where it waits for anything else, since
    a rotation deploys nothing."""
    unfinished = False
    for address in users:
        spec = steps[address].spec
        state = needs.apps.describe(address.name)
        if state is None or state.environment.get("APP_REVISION") != spec["revision"] or (
                state.replicas != spec["replicas"]):
            raise Refused([error("app-pending", f"{address} is not as the manifest has it; a rotation restarts it, and "
                                 "must not change it.", mend="Apply the manifest first, then rotate.",
                                 address=address)])
        unfinished |= state.revision != spec["revision"] or (
            deployed_fingerprints(state) != wanted_fingerprints(spec, needs))
    return unfinished


def _behind(spec: Attributes, capabilities: Capabilities) -> bool:
    """Whether the server was not told yet; Refused where it waits for anything that the manifest says otherwise, since
    a rotation changes nothing but a password, and no guardrail has judged more."""
    live = capabilities.resources[str(spec["type"])].observe(str(spec["name"]))
    if live is None:
        raise Refused([error("server-pending", f"The {spec['type']} {spec['name']} is not there.",
                             mend="Apply the manifest first, then rotate.")])
    other = [key for key in sorted(spec) if key in live and not same(live[key], spec[key])]
    if other:
        raise Refused([error("server-pending", f"The {spec['type']} {spec['name']} is not as the manifest has it: "
                             f"{', '.join(other)}. A rotation changes its password, and must not change that.",
                             mend="Apply the manifest first, then rotate.")])
    return any(need == "admin-password" or need.startswith("login:") for need in _names(live.get("needs")))


def _notes(stages: list[Stage], steps: Mapping[Address, Step]) -> tuple[str, ...]:
    alone = wiring.API in {s.restarts for s in stages} and steps[wiring.API].spec["replicas"] == 1
    return ("The API has one replica: nobody answers while it restarts, some seconds each time. With api.replicas: 2 "
            "there is no outage.",) if alone else ()


def _names(value: Value) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list | tuple) else []
