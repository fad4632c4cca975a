"""What a target offers to the kinds of steps: small protocols, nothing concrete.

A provider offers some of them; one that is missing is a diagnostic at plan time. A provider knows no kind. Whatever
fails for the user is raised as `engine.model.diagnostic.Refused`, with what, why and how to mend it; never with a
secret's text in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from engine.model.value import Attributes, SecretRef

if TYPE_CHECKING:
    from psycopg import Connection

    from engine.model.step import Environment

Partition = tuple[str, int]
"""(topic, partition)."""

Rights = Literal["listen", "send", "prove"]
"""What a process does at the broker: read, publish, or both."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a step is, or what it waits for."""

    done: int | None = None
    total: int | None = None
    unit: str = ""
    eta_s: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """What a running step may say and hear: its progress, and whether it is asked to stop. `run` names the apply in the
    journal."""

    emit: Callable[[Progress], None]
    cancelled: Callable[[], bool]
    run: str = ""


@dataclass(frozen=True, slots=True)
class Foreign:
    """Something inside a resource that would go with it although it is not this environment's; `why` is `foreign`,
    `platform-managed` or `locked`."""

    what: str
    why: str


ASIDE = "txplan_head"
"""The database that txplan makes beside the environment's own for a moment; never foreign."""


class ResourceType(Protocol):
    """One type of resource on one target. Names and specs come from the plan; all calls are idempotent."""

    @property
    def type(self) -> str:
        """Such as `postgres`."""

    @property
    def immutable(self) -> frozenset[str]:
        """Top-level spec keys that cannot change in place: a difference means REPLACE."""

    @property
    def grows(self) -> frozenset[str]:
        """Spec keys whose value may be raised in place but never lowered: a lower one means REPLACE."""

    def observe(self, name: str) -> Attributes | None:
        """The live values of the spec's keys that this target realises, or None where it does not exist.
        Reads only; bounded in time; `{"state": "stopped"}`-like extra keys are allowed where the caller must act:
        a key `needs` (list of str) names what apply has to mend although the spec is unchanged."""

    def apply(self, name: str, spec: Attributes, context: Context) -> None:
        """Create it, or change it in place to `spec`, or start it again where it is down."""

    def ready(self, name: str) -> str | None:
        """None where it serves; else what it still waits for."""

    def delete(self, name: str, context: Context) -> None:
        """Remove it and all that belongs to it; nothing to remove is no error."""

    def inventory(self) -> Sequence[str]:
        """Names of all live resources of this type in the environment, for orphans."""

    def foreign(self, name: str) -> Sequence[Foreign] | None:
        """What would go with it that is not this environment's; None where nobody can look now. Reads only."""


def next_of(name: str) -> str:
    """Under which name a vault holds the value that a secret will have, while it is being rotated."""
    return f"{name}--next"


def previous_of(name: str) -> str:
    """Under which name a vault holds the value that a secret had, until the rotation is over."""
    return f"{name}--previous"


class SecretStore(Protocol):
    """The vault. Values leave it only to be injected into a process or a connection."""

    def describe(self, name: str) -> SecretRef | None:
        """The secret's version and fingerprint, or None."""

    def fingerprint(self, value: str) -> str:
        """The fingerprint that `value` would have in this vault (keyed, so that it tells nothing of the value)."""

    def set(self, name: str, value: str) -> SecretRef:
        """Store a value as a new version; the same value again makes no new version."""

    def get(self, name: str) -> str:
        """The current value; Refused where there is none."""

    def delete(self, name: str) -> None:
        """Forget the secret and all its versions."""

    def names(self) -> Sequence[str]:
        """All names, sorted."""


class Database(Protocol):
    """The environment's database, by login role (`postgres` for the server's administrator)."""

    def connect(self, role: str, *, database: str | None = None) -> AbstractContextManager[Connection[tuple[Any, ...]]]:
        """A connection as `role`, autocommit off, connect timeout of seconds; Refused where the server is away."""

    def reachable(self) -> bool:
        """Whether the server exists and answers."""

    def client_environment(self, role: str) -> Mapping[str, str]:
        """libpq variables (PGHOST … PGPASSWORD) for a process that logs in as `role`."""


@dataclass(frozen=True, slots=True)
class GroupState:
    """A consumer group as its broker has it; `state` in the broker's words (`stable`, `empty`, …)."""

    name: str
    state: str
    members: int


class Broker(Protocol):
    """The Kafka-protocol broker's administration; answers are those of Apache Kafka."""

    def reachable(self) -> bool:
        """Whether the broker exists and answers."""

    def now(self) -> datetime:
        """The broker's clock, from an append-time stamp where it gives one (aware, UTC)."""

    def earliest_offsets(self, topic: str) -> Mapping[Partition, int]:
        """The log's start per partition."""

    def latest_offsets(self, topic: str) -> Mapping[Partition, int]:
        """The offset of the next record per partition."""

    def offsets_for_time(self, topic: str, at: datetime) -> Mapping[Partition, int]:
        """Per partition the first offset whose timestamp is at or after `at`; the latest offset where none is."""

    def committed(self, group: str, topics: Sequence[str]) -> Mapping[Partition, int]:
        """Committed offsets of a group; partitions without one are left out."""

    def commit(self, group: str, offsets: Mapping[Partition, int]) -> None:
        """Commit start offsets for a group without members."""

    def groups(self, prefix: str) -> Sequence[str]:
        """Names of consumer groups that begin with `prefix`, sorted."""

    def describe_group(self, group: str) -> GroupState:
        """A group's state; one that is not there is `dead` and has no members."""

    def remove_group(self, group: str) -> None:
        """Delete a group with its offsets, now; no such group is no error, Refused where it has members."""

    def stamps(self, offsets: Mapping[Partition, int]) -> Mapping[Partition, datetime]:
        """The stamps of the records at these offsets, or of the next ones after them; partitions without are left
        out. Bounded in time."""

    def delete_group(self, group: str) -> None:
        """See that a group's offsets do not outlive the environment; no such group is no error. Members that were
        killed may still be in it."""

    def client_environment(self, rights: Rights = "listen") -> Mapping[str, str]:
        """KAFKA_* variables for a process that talks to the broker with no more than these rights."""


@dataclass(frozen=True, slots=True)
class AppSpec:
    """A long-running app. `command` and `environment` hold no secret; `secrets` are variables with secret values,
    resolved by the caller, passed to the process's environment only."""

    name: str
    revision: str
    command: Sequence[str]
    environment: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False, default_factory=dict)
    replicas: int = 1
    stop_seconds: int = 30
    max_replicas: int = 0
    """How many a host that scales by itself may make of them; 0 for no more than `replicas`."""


@dataclass(frozen=True, slots=True)
class AppState:
    """A live app. `endpoints` are base URLs, one a replica; `running` counts replicas whose process lives."""

    name: str
    revision: str
    replicas: int
    running: int
    endpoints: Sequence[str]
    environment: Mapping[str, str]


class AppHost(Protocol):
    """Runs apps and keeps them running."""

    def describe(self, name: str) -> AppState | None:
        """The app as it is deployed, or None."""

    def deploy(self, app: AppSpec, context: Context) -> AppState:
        """Run exactly this revision with this many replicas; replaces another revision. Each replica gets
        WEB_HOST, WEB_PORT (its own, stable over restarts) and REPLICA (0-based) in its environment."""

    def ready(self, name: str) -> str | None:
        """None where every replica answers 200 on /readyz; else what it waits for."""

    def remove(self, name: str, context: Context) -> None:
        """Stop it (gracefully, then by force) and forget it."""

    def names(self) -> Sequence[str]:
        """All deployed apps, sorted."""

    def log_names(self) -> Sequence[str]:
        """All that keeps a log: apps, the servers under them, and jobs that ran; sorted."""

    def logs(self, name: str, *, follow: bool, lines: int) -> Iterator[str]:
        """The last `lines` lines of each log behind a name, prefixed by its replica, then what is added."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job that runs to its end. The same rules as AppSpec."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False, default_factory=dict)


class JobRunner(Protocol):
    """Runs jobs where they can reach the environment."""

    def run(self, job: JobSpec, on_event: Callable[[Mapping[str, Any]], None], cancelled: Callable[[], bool]) -> int:
        """Run to the end; each JSON object that the job writes on a line of its standard output goes to `on_event`;
        the rest of its output to its log. Returns the exit code; cancelled → SIGTERM, then its exit code."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One metric value of one replica at one time."""

    app: str
    replica: int
    at: datetime
    name: str
    labels: Mapping[str, str]
    value: float


class Metrics(Protocol):
    """Reads what apps measure."""

    def scrape(self, app: str) -> Sequence[Sample]:
        """The current metrics of every replica that answers; an empty list where none does (no data)."""


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Who holds an environment's lock: for the message of the one who has to wait."""

    who: str
    host: str
    pid: int
    since: datetime
    purpose: str


@dataclass(frozen=True, slots=True)
class LockStanding:
    """A lock that was taken and not given back: by whom, where that can be read. `held` is whether somebody holds it
    now, for the lock is free when its holder dies; `alive` whether the holder's process lives, None where this host
    cannot tell."""

    holder: LockHolder | None
    held: bool
    alive: bool | None


@dataclass(frozen=True, slots=True)
class Known:
    """An environment that is live on a target: who it is by its own record (with its live tags), what its group is
    called there, since when it is, and the manifest that it was last applied from, where that is known."""

    environment: Environment
    group: str
    made_at: datetime
    manifest: str | None


class Register(Protocol):
    """What is kept with a live environment for those who find it without its manifest at hand."""

    def note(self, manifest: str) -> None:
        """Keep the manifest's path; it goes with the environment."""


class Applied(Protocol):
    """What was last applied, step by step, kept where the resources are: what is live otherwise was changed outside."""

    def get(self, step: str) -> Attributes | None:
        """The live values as the last apply of the step left them, or None where nothing is kept."""

    def put(self, step: str, values: Attributes) -> None:
        """Keep them."""

    def drop(self, step: str) -> None:
        """Forget them; nothing kept is no error."""


class Lock(Protocol):
    """One apply an environment. The lock is free again when its holder dies."""

    def acquire(self, purpose: str) -> AbstractContextManager[LockHolder]:
        """Hold the lock for the block; Refused with exit code 6, naming the holder, where another has it."""

    def holder(self) -> LockHolder | None:
        """Who holds it now, or None."""

    def standing(self) -> LockStanding | None:
        """Who took it and did not give it back; None where it is free and nobody left it behind."""

    def break_open(self, holder: LockHolder | None) -> None:
        """Take it from `holder`, who is not asked and goes on; Refused (exit code 6) where another has it by now."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a doctor looked at: `ok`, `warning` or `error`, what it saw, and how to mend it."""

    state: Literal["ok", "warning", "error"]
    what: str
    says: str
    mend: str = ""


class Doctor(Protocol):
    """Looks, before anything is made, at what would keep the target from working. Reads only."""

    def look(self) -> Iterator[Finding]:
        """One finding after the other."""


class ImageBuilder(Protocol):
    """Builds the service's image where the target keeps its images."""

    def build(self, code: str, context: Context) -> str:
        """Build and push the image of this checkout, whose digest is `code`; `server/repository@digest`."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a target offers for one environment."""

    resources: Mapping[str, ResourceType]
    lock: Lock
    secrets: SecretStore | None = None
    database: Database | None = None
    broker: Broker | None = None
    apps: AppHost | None = None
    jobs: JobRunner | None = None
    metrics: Metrics | None = None
    applied: Applied | None = None
    register: Register | None = None
    doctor: Doctor | None = None
    images: ImageBuilder | None = None
