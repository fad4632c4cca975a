"""The manifest: what an environment shall be, after profiles and defaults have been merged in.

Durations are `timedelta`, instants are aware `datetime` in UTC, rates are per second, shares are 0 to 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from engine.model.address import Position
from engine.model.value import Attributes
from engine.model.verdict import DestroyLimit

BrokerEngine = Literal["noida", "tansu", "apache", "external"]
Access = Literal["public", "private"]


@dataclass(frozen=True, slots=True)
class Names:
    """The tokens that names are built from (P3.3); none of them is ever written in code."""

    team: str
    project: str
    short: str
    owner: str
    env: str
    env_short: str


@dataclass(frozen=True, slots=True)
class Postgres:
    """The database server. `parameters` are server settings, applied as given."""

    version: int
    database: str
    sku: str
    storage_gb: int
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Broker:
    """The Kafka-protocol broker. The connection fields are for `external` alone; `password` names a secret."""

    engine: BrokerEngine
    bootstrap: str | None = None
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class Hub:
    """A topic. `key` says what it carries: `ledger` or `order`."""

    key: str
    name: str
    partitions: int
    retention: timedelta


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret's value comes from: generated (random bytes), an environment variable, or a file."""

    name: str
    generate_bytes: int | None = None
    from_env: str | None = None
    from_file: str | None = None


@dataclass(frozen=True, slots=True)
class Cutover:
    """`at` is T_cutover (P6.3), None for the broker's time when the cutover is taken; `skew` is Δ."""

    at: datetime | None
    skew: timedelta
    recovery_buffer: timedelta


@dataclass(frozen=True, slots=True)
class Reprocess:
    """From where the active consumer group reads its log again (P7.3): from an instant, or from an offset for each
    (topic, partition) that is named."""

    at: datetime | None
    offsets: Mapping[tuple[str, int], int]

    @classmethod
    def parse(cls, text: str) -> Reprocess:
        """Read `2026-11-24T09:00:00Z`, or `topic:partition=offset,…`; raises ValueError with what is wrong."""
        if "=" not in text:
            try:
                at = datetime.fromisoformat(text)
            except ValueError:
                raise ValueError(f"{text!r} is neither a time (2026-11-24T09:00:00Z) nor topic:partition=offset,…"
                                 ) from None
            if at.tzinfo is None:
                raise ValueError(f"{text!r} has no zone; write the time in UTC, such as {at.isoformat()}Z")
            return cls(at.astimezone(UTC), {})
        offsets: dict[tuple[str, int], int] = {}
        for part in text.split(","):
            found = re.fullmatch(r"\s*([A-Za-z0-9._-]+):(\d{1,6})=(\d{1,18})\s*", part)
            if found is None:
                raise ValueError(f"{part!r} is no topic:partition=offset, such as ledger.entry.upserted:0=1200")
            place = (found[1], int(found[2]))
            if place in offsets:
                raise ValueError(f"{found[1]}:{found[2]} is named twice")
            offsets[place] = int(found[3])
        return cls(None, offsets)


@dataclass(frozen=True, slots=True)
class FilesSource:
    """Parquet, JSONL or CSV files by absolute glob, one glob an entity."""

    orders: str
    ledger: str


@dataclass(frozen=True, slots=True)
class PostgresSource:
    """A source database; `password` names a secret."""

    host: str
    port: int
    database: str
    user: str
    password: str
    orders_table: str
    ledger_table: str
    sslmode: str


@dataclass(frozen=True, slots=True)
class SyntheticSource:
    """Made-up payments, the same for the same seed; the shares say how many records are late, doubled, …"""

    payments: int
    seed: int
    late: float
    duplicates: float
    out_of_order: float
    broken: float


BackfillSource = FilesSource | PostgresSource | SyntheticSource


@dataclass(frozen=True, slots=True)
class Backfill:
    """What fills the store before T (P6.4); no source means that there is nothing to fill it from."""

    source: BackfillSource | None
    chunk_rows: int


@dataclass(frozen=True, slots=True)
class Consumer:
    """The stream app. Replicas never exceed the partitions of a hub, or some would idle."""

    replicas: int
    batch_records: int


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """What one client may ask of one API process; over them the answer is 429, 414, 431, 413, 408 or 503."""

    rate_per_s: int
    burst: int
    url_bytes: int
    header_bytes: int
    body_bytes: int
    request_s: int
    connections: int


@dataclass(frozen=True, slots=True)
class Api:
    """The look-up API."""

    replicas: int
    limits: ApiLimits


@dataclass(frozen=True, slots=True)
class Load:
    """The small real load under which gates are read: events fed and look-ups asked, per second."""

    source: FilesSource | SyntheticSource | None
    events_per_s: int
    requests_per_s: int
    duration: timedelta


@dataclass(frozen=True, slots=True)
class Slo:
    """Limits of the gates (P8)."""

    api_p95: timedelta
    freshness_p95: timedelta
    error_rate: float
    error_window: timedelta
    dlq_new: int
    dlq_window: timedelta
    complete_pairs: float
    pairs_settled_for: timedelta
    lag_p95: int
    books_off: int
    differences: int


@dataclass(frozen=True, slots=True)
class Reconcile:
    """How source and store are compared. `source_is_live`: the source holds all that is streamed, too."""

    source_is_live: bool


@dataclass(frozen=True, slots=True)
class Azure:
    """Where an environment is made on Azure. `location` is a region's name; `allow` maps a name to (first, last)
    address."""

    subscription: str
    tenant: str | None
    location: str
    cloud: Literal["public", "usgovernment", "china"]
    endpoint: str | None
    authority: str | None
    ca_file: str | None
    address_space: str
    allow: Mapping[str, tuple[str, str]]
    soft_deleted: Literal["recover", "purge"]
    image: str | None
    state: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """One environment. `values` maps a dotted path to its value as it was read (durations in seconds, paths as they
    were written), `digest` is over them, and `positions` maps a dotted path to where it was declared."""

    file: str
    digest: str
    target: Literal["local", "azure"]
    profile: str
    names: Names
    ttl: date
    tags: Mapping[str, str]
    postgres: Postgres
    broker: Broker
    hubs: tuple[Hub, ...]
    secrets: tuple[Secret, ...]
    cutover: Cutover
    backfill: Backfill
    consumer: Consumer
    api: Api
    load: Load
    slo: Slo
    reconcile: Reconcile
    migrations: str
    max_destroy: DestroyLimit
    access: Access
    azure: Azure | None = None
    """Only where that is the target."""

    values: Attributes = field(default_factory=dict)
    positions: Mapping[str, Position] = field(default_factory=dict)
    reprocess: Reprocess | None = None
    """What the command line asks to be read again; never in a file, since it is done once."""

    @property
    def environment(self) -> str:
        """The environment's own name, such as `dev-kim`."""
        return f"{self.names.env}-{self.names.owner}"

    def where(self, path: str) -> Position:
        """Where `path` (dotted) or its nearest declared parent stands; the file's start where nothing does."""
        while path:
            if path in self.positions:
                return self.positions[path]
            path = path.rpartition(".")[0]
        return Position(self.file, 1, 1)
