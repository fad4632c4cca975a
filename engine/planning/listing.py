"""Listing: the environments that are live, how they are and how long they may stay (P3.3). Reads only.

What is expired is told by the live tags, whose an environment is by its name and its tags together (P11.1). Must not:
plan or change anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from engine.model.diagnostic import Refused
from engine.model.step import Environment
from engine.planning.guardrails.destroys_only_its_own import IDENTIFYING, differing
from engine.planning.status import Status, read_status
from engine.policy.naming import name as resource_name
from engine.policy.naming import names_of
from engine.providers.base import Capabilities, Known, LockHolder


@dataclass(frozen=True, slots=True)
class Listed:
    """One live environment. `days_left` is negative where the ttl has passed, None where the tag is no day; `stranger`
    says why it is not proven to be what its record says, empty where name and tags agree. `profile` and `orphans` are
    None where no manifest can be read."""

    name: str
    target: str
    profile: str | None
    owner: str
    made_at: datetime
    age_s: float
    ttl: str
    days_left: int | None
    health: str
    serves: bool
    lock: LockHolder | None
    stranger: str
    manifest: str | None
    orphans: Sequence[str] | None

    @property
    def expired(self) -> bool:
        """Whether its last day has passed, in UTC."""
        return self.days_left is not None and self.days_left < 0


def listed(known: Known, capabilities: Capabilities, now: datetime, *, profile: str | None,
           orphans: Sequence[str] | None) -> Listed:
    """What there is to say of a live environment at `now`."""
    environment = known.environment
    ttl = str(environment.tags.get("ttl", ""))
    health, serves, lock = _health(environment, capabilities)
    return Listed(environment.name, environment.target, profile, environment.owner, known.made_at,
                  (now - known.made_at).total_seconds(), ttl, _days_left(ttl, now), health, serves, lock,
                  stranger(known), known.manifest, orphans)


def stranger(known: Known) -> str:
    """Why the name or the tags do not identify the environment as what its record says it is; empty where both do."""
    names, environment = names_of(known.environment), known.environment
    if known.group != resource_name(names, "rg"):
        return f"the name {known.group} is not {resource_name(names, 'rg')}"
    mine: Mapping[str, str] = {"env": environment.env, "owner": environment.owner, "project": environment.project}
    return "; ".join(differing(environment.tags, {key: mine[key] for key in IDENTIFYING}))


def _days_left(ttl: str, now: datetime) -> int | None:
    try:
        return (date.fromisoformat(ttl) - now.date()).days
    except ValueError:
        return None


def _health(environment: Environment, capabilities: Capabilities) -> tuple[str, bool, LockHolder | None]:
    try:
        status = read_status(environment, capabilities)
    except Refused as refused:
        return f"cannot be read: {refused.diagnostics[0].summary}", False, capabilities.lock.holder()
    trouble = _trouble(status)
    return trouble or "serves", not trouble, status.lock


def _trouble(status: Status) -> str:
    """What keeps the environment from serving, the root first; empty where nothing does."""
    down = [server for server, state in status.servers.items() if state != "up"]
    if down:
        return f"down: {', '.join(down)}"
    lacking = [type_ for type_ in ("postgres", "namespace") if not any(s.startswith(type_) for s in status.servers)]
    if lacking:
        return f"half built: no {' and no '.join(lacking)}"
    if status.database != "answers":
        return status.database
    absent = [app for app in ("api", "consumer") if app not in [a.name for a in status.apps]]
    if absent or status.cutover is None:
        return f"half built: no {' and no '.join(absent) if absent else 'cutover'}"
    waiting = [app.name for app in status.apps if app.name in status.waiting or app.running < app.replicas]
    if waiting:
        return f"not ready: {', '.join(waiting)}"
    failed = [proof.step for proof in status.proofs if proof.outcome != "pass"]
    return f"did not pass: {', '.join(failed)}" if failed else ""
