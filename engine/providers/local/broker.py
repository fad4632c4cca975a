"""The local target's broker: resource types `namespace` and `hub`, and the capability to administer it.

Owns: what is recorded of a namespace and its hubs, and how an engine becomes a supervised process. Must not: know how
an engine works (`brokers`), or show a password.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from engine.model.diagnostic import Refused, error
from engine.model.value import Attributes
from engine.providers.base import (
    Broker,
    Context,
    Foreign,
    GroupState,
    Partition,
    Progress,
    ResourceType,
    Rights,
    SecretStore,
)
from engine.providers.kafka import positions, topics
from engine.providers.kafka.session import Connection, Session
from engine.providers.local.brokers import ENGINES, EXTERNAL
from engine.providers.local.brokers.engine import BrokerEngine, Place, Say
from engine.providers.local.home import Home
from engine.providers.local.processes import Processes, Program

PROGRAM = "broker"
_RECORD = "namespace"
_HUBS = "hub"
_MS_AN_HOUR = 3_600_000
# The clock is read from the stamp of a record; an hour is the least that all brokers take.
_CLOCK_RETENTION_MS = _MS_AN_HOUR
# For so long, and a little less, a member that was killed counts as one.
_SESSION_S = 20.0


def broker_capabilities(home: Home, processes: Processes,
                        secrets: SecretStore) -> tuple[Mapping[str, ResourceType], Broker]:
    """The resource types by name, and the broker. Touches nothing before it is asked."""
    link = Link(home, processes, secrets)
    return {"namespace": Namespace(link), "hub": Hub(link)}, LocalBroker(link)


class Link:
    """The environment's one namespace, and how to talk to it; shared by all of this module."""

    def __init__(self, home: Home, processes: Processes, secrets: SecretStore) -> None:
        self.home = home
        self.processes = processes
        self._secrets = secrets

    def namespace(self) -> dict[str, Any] | None:
        """The recorded spec of the environment's namespace, or None."""
        recorded = self.home.records(_RECORD)
        return self.home.record(_RECORD, recorded[0]) if recorded else None

    def connection(self) -> Connection | None:
        """How to reach the broker; None where there is no namespace. A password that the vault has not is left out."""
        spec = self.namespace()
        if spec is None:
            return None
        if spec["engine"] != EXTERNAL:
            return Connection(f"127.0.0.1:{self.home.port(_port_key('kafka'))}")
        return Connection(
            spec["bootstrap"], spec.get("security_protocol") or "PLAINTEXT", spec.get("sasl_mechanism"),
            spec.get("username"), self._password(spec.get("password")), spec.get("ca_file"))

    def _password(self, secret: str | None) -> str | None:
        return self._secrets.get(secret) if secret and self._secrets.describe(secret) else None

    def session(self) -> Session | None:
        """A new session with the broker, for one task; None where there is no namespace."""
        connection = self.connection()
        return None if connection is None else Session(connection)

    def require(self) -> Session:
        """A session with a broker that answers; Refused, at once where nothing listens, where there is none."""
        session = self.session()
        if session is None:
            raise Refused([error("no-broker", "this environment has no broker yet", mend="apply the manifest first")])
        session.require()
        return session

    def clock_topic(self) -> str:
        """Where the broker's clock is read: no hub, so that no consumer ever sees it."""
        return f"txplan.clock.{self.home.environment.name}"


class Namespace:
    """`namespace` {name, tags, engine, and for an external broker its connection}: the broker itself."""

    type = "namespace"
    immutable = frozenset({"engine", "bootstrap"})
    grows: frozenset[str] = frozenset()

    def __init__(self, link: Link) -> None:
        self._link = link
        self._home = link.home

    def observe(self, name: str) -> Attributes | None:
        """The recorded spec; `needs` start where the process is down."""
        spec = self._home.record(_RECORD, name)
        if spec is None or spec["engine"] == EXTERNAL:
            return spec
        status = self._link.processes.status(PROGRAM)
        return spec if status is not None and status.running else spec | {"needs": ["start"]}

    def apply(self, name: str, spec: Attributes, context: Context) -> None:
        """Record it, and have its process run."""
        self._home.require()
        if spec["engine"] == EXTERNAL:
            self._home.save_record(_RECORD, name, spec)
            return
        engine = _engine(str(spec["engine"]))
        place = self._place(engine)
        engine.prepare(place, Say(lambda note: context.emit(Progress(note=note)), context.cancelled))
        self._home.save_record(_RECORD, name, spec)
        self._link.processes.ensure(Program(
            PROGRAM, tuple(engine.command(place)), place.folder, engine.environment(place),
            stop_signal=engine.stop_signal, stop_seconds=engine.stop_seconds, priority=100))

    def ready(self, name: str) -> str | None:
        """None where the broker answers."""
        session = self._link.session()
        trouble = "its record" if session is None else session.trouble()
        return f"the broker: {trouble}" if trouble else None

    def delete(self, name: str, context: Context) -> None:
        """Stop it and remove its data; of an external broker, only what this environment made there."""
        spec = self._home.record(_RECORD, name)
        if spec is None:
            return
        if spec["engine"] == EXTERNAL:
            topics.delete(self._link.require(), self._link.clock_topic())
        else:
            self._link.processes.remove(PROGRAM)
            if (folder := self._home.path / "broker").exists():
                shutil.rmtree(folder)
            for port in _engine(spec["engine"]).ports:
                self._home.drop_port(_port_key(port))
        for hub in self._home.records(_HUBS):
            self._home.drop_record(_HUBS, hub)
        self._home.drop_record(_RECORD, name)

    def foreign(self, name: str) -> Sequence[Foreign] | None:
        """Hubs of its own broker that this environment did not make; of an external one nothing goes with it."""
        spec = self._link.namespace()
        if spec is None or spec["engine"] == EXTERNAL:
            return []
        session = self._link.session()
        if session is None or not session.reachable():
            return None
        own = {self._link.clock_topic(), *self._home.records(_HUBS)}
        return [Foreign(f"hub {topic}", "foreign") for topic in topics.names(session) if topic not in own]

    def inventory(self) -> Sequence[str]:
        """The recorded one."""
        return self._home.records(_RECORD)

    def _place(self, engine: BrokerEngine) -> Place:
        status = self._link.processes.status(PROGRAM)
        if status is not None and status.running:
            ports = {port: self._home.port(_port_key(port)) for port in engine.ports}
        else:
            ports = {port: self._home.free_port(_port_key(port))[0] for port in engine.ports}
        return Place(self._home.folder("broker"), ports)


class Hub:
    """`hub` {name, partitions, retention_hours, namespace}: a topic with append-time stamps."""

    type = "hub"
    immutable = frozenset({"partitions", "namespace"})
    grows: frozenset[str] = frozenset()

    def __init__(self, link: Link) -> None:
        self._link = link
        self._home = link.home

    def observe(self, name: str) -> Attributes | None:
        """The live topic; while the broker is down what was recorded of it, with `needs` broker."""
        spec, session = self._link.namespace(), self._link.session()
        if spec is None or session is None:
            return None
        record = self._home.record(_HUBS, name)
        if not session.reachable():
            return None if record is None else record["spec"] | {"needs": ["broker"]}
        topic = topics.describe(session, name)
        if topic is None:
            return None
        live: Attributes = {"name": name, "partitions": topic.partitions, "namespace": spec["name"],
                            "retention_hours": topic.retention_ms / _MS_AN_HOUR}
        return live if topic.append_stamps or not self._ours(name) else {**live, "needs": ["append-time stamps"]}

    def apply(self, name: str, spec: Attributes, context: Context) -> None:
        """Create it, or change its retention in place. A topic that somebody else made on an external broker is used
        as it is; Refused where it would have to change."""
        session = self._link.require()
        partitions = int(str(spec["partitions"]))
        retention_ms = round(float(str(spec["retention_hours"])) * _MS_AN_HOUR)
        live = topics.describe(session, name)
        made = live is None or self._ours(name)
        if live is not None and not made and (live.partitions, live.retention_ms) != (partitions, retention_ms):
            raise Refused([error(
                "foreign-hub", f"{name} on the external broker was not made by this environment",
                f"it has {live.partitions} partitions and keeps records for {live.retention_ms / _MS_AN_HOUR:g} h",
                "declare it as it is, or choose another name", rule="P11.1")])
        # Before the topic, so that one whose creation is cut off is known as ours.
        self._home.save_record(_HUBS, name, {"spec": spec, "made": made})
        if made:
            topics.ensure(session, name, partitions, retention_ms)

    def _ours(self, name: str) -> bool:
        """Whether this environment may change and delete the topic: all on its own broker, what it made elsewhere."""
        spec, record = self._link.namespace(), self._home.record(_HUBS, name)
        return (spec is not None and spec["engine"] != EXTERNAL) or (record is not None and bool(record["made"]))

    def ready(self, name: str) -> str | None:
        """None where the topic is there."""
        session = self._link.session()
        if session is None or not session.reachable():
            return "the broker"
        return None if session.partitions(name) else f"topic {name}"

    def delete(self, name: str, context: Context) -> None:
        """Delete the topic. On an external broker only one that this environment made; where a broker of this
        environment is down, its data go with its folder, or show as an orphan once it is up again."""
        spec, session = self._link.namespace(), self._link.session()
        if spec is not None and session is not None and self._ours(name) and (
                spec["engine"] == EXTERNAL or session.reachable()):
            topics.delete(session, name)
        self._home.drop_record(_HUBS, name)

    def foreign(self, name: str) -> Sequence[Foreign]:
        """Nothing: a topic holds records alone."""
        return []

    def inventory(self) -> Sequence[str]:
        """Topics of this environment's own broker, or those that it made on an external one."""
        spec = self._link.namespace()
        session = self._link.session() if spec is not None and spec["engine"] != EXTERNAL else None
        if session is None or not session.reachable():
            return [name for name in self._home.records(_HUBS) if self._ours(name)]
        return [name for name in topics.names(session) if name != self._link.clock_topic()]


class LocalBroker:
    """The capability; every call opens a session with the recorded broker."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def reachable(self) -> bool:
        """Whether the broker exists and answers."""
        session = self._link.session()
        return session is not None and session.reachable()

    def now(self) -> datetime:
        """The broker's clock by the stamp of a record in a topic of its own; this machine's where it gives none."""
        session, topic = self._link.require(), self._link.clock_topic()
        if session.partitions(topic) is None:
            topics.ensure(session, topic, 1, _CLOCK_RETENTION_MS)
        return positions.append_stamp(session, topic) or datetime.now(UTC)

    def earliest_offsets(self, topic: str) -> Mapping[Partition, int]:
        """The log's start per partition."""
        return positions.earliest(self._link.require(), topic)

    def latest_offsets(self, topic: str) -> Mapping[Partition, int]:
        """The offset of the next record per partition."""
        return positions.latest(self._link.require(), topic)

    def offsets_for_time(self, topic: str, at: datetime) -> Mapping[Partition, int]:
        """Per partition the first offset at or after `at`; the latest where none is."""
        return positions.at_time(self._link.require(), topic, at)

    def committed(self, group: str, topics: Sequence[str]) -> Mapping[Partition, int]:
        """Committed offsets of a group; partitions without one are left out."""
        return positions.committed(self._link.require(), group, topics)

    def commit(self, group: str, offsets: Mapping[Partition, int]) -> None:
        """Commit start offsets for a group without members."""
        positions.commit(self._link.require(), group, offsets)

    def groups(self, prefix: str) -> Sequence[str]:
        """Names of consumer groups that begin with `prefix`, sorted."""
        return positions.groups(self._link.require(), prefix)

    def describe_group(self, group: str) -> GroupState:
        """A group's state; one that is not there is `dead` and has no members."""
        return positions.describe_group(self._link.require(), group)

    def remove_group(self, group: str) -> None:
        """Delete a group with its offsets, now; Refused where it has members."""
        positions.delete_group(self._link.require(), group)

    def stamps(self, offsets: Mapping[Partition, int]) -> Mapping[Partition, datetime]:
        """The stamps of the records at these offsets, or of the next ones after them."""
        return positions.stamps(self._link.require(), offsets)

    def delete_group(self, group: str) -> None:
        """Forget a group's offsets on an external broker; on the environment's own they go with its data."""
        spec = self._link.namespace()
        if spec is not None and spec["engine"] == EXTERNAL:
            positions.delete_group(self._link.require(), group, patience_s=_SESSION_S)

    def client_environment(self, rights: Rights = "listen") -> Mapping[str, str]:
        """KAFKA_* variables; empty where there is no broker. Whoever reaches it may do all."""
        connection = self._link.connection()
        return {} if connection is None else connection.environment()


def _port_key(port: str) -> str:
    return f"broker.{port}"


def _engine(name: str) -> BrokerEngine:
    if name not in ENGINES:
        raise Refused([error("unknown-broker", f"there is no broker engine {name!r}",
                             f"the engines are {', '.join([*ENGINES, EXTERNAL])}", "mend broker.engine")])
    return ENGINES[name]
