"""Event Hubs as a Kafka-protocol broker: positions and groups over SASL_SSL with a connection string.

Owns: the namespace's address and keys (one a right). Must not: make or change a hub; those are
resources, for Event Hubs takes them from the resource manager alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from engine.model.diagnostic import Refused, error
from engine.providers.azure.arm import Arm
from engine.providers.azure.site import Site
from engine.providers.azure.types.eventhubs import API
from engine.providers.base import GroupState, Partition, Rights
from engine.providers.kafka import positions
from engine.providers.kafka.session import Connection, Session

LISTEN: Rights = "listen"
_FRESH_S = 2.0


class EventHubs:
    """A Broker."""

    def __init__(self, arm: Arm, site: Site) -> None:
        self._arm, self._site = arm, site
        self._guard = threading.Lock()
        self._seen: tuple[float, str | None] = (-_FRESH_S, None)
        self._keys: dict[str, str] = {}

    def endpoint(self) -> str | None:
        """The namespace's HTTPS address; None where there is no namespace."""
        with self._guard:
            at, address = self._seen
            if address is None or time.monotonic() - at > _FRESH_S:  # It may be made at any moment.
                live = self._arm.get(self._namespace(), API)
                address = (live or {}).get("properties", {}).get("serviceBusEndpoint")
                self._seen = (time.monotonic(), address)
            return address

    def connection(self, rule: Rights = LISTEN) -> Connection | None:
        """How to reach it with a rule's key; None where namespace or rule are missing."""
        address = self.endpoint()
        host = urlsplit(address).hostname if address else None
        key = self._key(rule) if host else None
        if host is None or key is None:
            return None
        return Connection(f"{host}:9093", "SASL_SSL", "PLAIN", "$ConnectionString", key, self._site.ca_file)

    def reachable(self) -> bool:
        """Whether the namespace exists and answers."""
        connection = self.connection()
        return connection is not None and Session(connection).reachable()

    def now(self) -> datetime:
        """The namespace's clock, by the date of an answer of its own."""
        address = urlsplit(self.endpoint() or "")
        if not address.hostname:
            raise _none()
        asked = HTTPSConnection(address.hostname, address.port or 443, timeout=10, context=self._site.tls())
        try:
            asked.request("GET", "/")
            stamp = asked.getresponse().getheader("Date")
            return parsedate_to_datetime(stamp).astimezone(UTC) if stamp else datetime.now(UTC)
        except (OSError, HTTPException, ValueError):
            return datetime.now(UTC)
        finally:
            asked.close()

    def earliest_offsets(self, topic: str) -> Mapping[Partition, int]:
        """The log's start per partition."""
        return positions.earliest(self._session(), topic)

    def latest_offsets(self, topic: str) -> Mapping[Partition, int]:
        """The offset of the next record per partition."""
        return positions.latest(self._session(), topic)

    def offsets_for_time(self, topic: str, at: datetime) -> Mapping[Partition, int]:
        """Per partition the first offset at or after `at`; the latest where none is."""
        return positions.at_time(self._session(), topic, at)

    def committed(self, group: str, topics: Sequence[str]) -> Mapping[Partition, int]:
        """Committed offsets of a group; partitions without one are left out."""
        return positions.committed(self._session(), group, topics)

    def commit(self, group: str, offsets: Mapping[Partition, int]) -> None:
        """Commit start offsets for a group without members."""
        positions.commit(self._session(), group, offsets)

    def groups(self, prefix: str) -> Sequence[str]:
        """Names of consumer groups of the whole namespace that begin with `prefix`, sorted."""
        return positions.groups(self._session(), prefix)

    def describe_group(self, group: str) -> GroupState:
        """A group's state; one that is not there is `dead` and has no members."""
        return positions.describe_group(self._session(), group)

    def remove_group(self, group: str) -> None:
        """Delete a group with its offsets, now; Refused where it has members."""
        positions.delete_group(self._session(), group)

    def stamps(self, offsets: Mapping[Partition, int]) -> Mapping[Partition, datetime]:
        """The stamps of the records at these offsets, or of the next ones after them."""
        return positions.stamps(self._session(), offsets)

    def delete_group(self, group: str) -> None:
        """Nothing: the namespace is the environment's own, and its groups go with it."""

    def client_environment(self, rights: Rights = LISTEN) -> Mapping[str, str]:
        """KAFKA_* variables with the key of the rule that has these rights; empty where there is no namespace."""
        connection = self.connection(rights)
        return {} if connection is None else connection.environment()

    def _session(self) -> Session:
        connection = self.connection()
        if connection is None:
            raise _none()
        session = Session(connection)
        session.require()
        return session

    def _key(self, rule: Rights) -> str | None:
        with self._guard:
            if rule not in self._keys:
                id = f"{self._namespace()}/authorizationRules/{rule}"
                if self._arm.get(id, API) is None:
                    return None
                self._keys[rule] = str(self._arm.post(f"{id}/listKeys", API)["primaryConnectionString"])
            return self._keys[rule]

    def _namespace(self) -> str:
        return self._site.id(f"Microsoft.EventHub/namespaces/{self._site.names['evh']}")


def _none() -> Refused:
    return Refused([error("no-broker", "this environment has no broker yet", mend="apply the manifest first")])
