"""The service's settings: environment variables read once into frozen values.

Owns the names of the variables, their defaults and their checks. Must not open a connection. All problems
are told together in one SettingsError, by variable name and never with a value, which may be a secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from psycopg.conninfo import make_conninfo

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


class SettingsError(ValueError):
    """Missing or unusable variables; `problems` has one line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Postgres:
    """Where PostgreSQL is. `conninfo()` contains the password: never log it.

    `other_password` is also tried where the server refuses `password`: while a login's password is rotated, one of the
    two is right at any moment.
    """

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    sslmode: str
    other_password: str | None = field(repr=False, default=None)

    def conninfo(self, application: str) -> str:
        return make_conninfo(
            host=self.host,
            port=self.port,
            dbname=self.database,
            user=self.user,
            password=self.password,
            sslmode=self.sslmode,
            application_name=application,
            connect_timeout=10,
            # A peer that vanished is noticed in about 30 s, not after TCP's two hours.
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=4,
        )


@dataclass(frozen=True)
class Kafka:
    """Where the broker is, and the two topics (`hub_ledger`, `hub_order`)."""

    bootstrap: str
    security_protocol: str
    sasl_mechanism: str | None
    sasl_username: str | None
    sasl_password: str | None = field(repr=False)
    ssl_cafile: str | None
    hub_ledger: str
    hub_order: str

    def librdkafka(self) -> dict[str, str]:
        """The connection part of a confluent-kafka configuration."""
        config = {"bootstrap.servers": self.bootstrap, "security.protocol": self.security_protocol}
        optional = {
            "sasl.mechanisms": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password,
            "ssl.ca.location": self.ssl_cafile,
        }
        return config | {name: value for name, value in optional.items() if value is not None}


@dataclass(frozen=True)
class Web:
    """Where this process answers; `revision` is what it says of itself."""

    host: str
    port: int
    revision: str
    log_level: str


@dataclass(frozen=True)
class ConsumerSettings:
    postgres: Postgres
    kafka: Kafka
    web: Web
    group: str
    batch_max_records: int
    state_dir: str


@dataclass(frozen=True)
class Limits:
    """What one client may ask of one API process.

    `rate_per_s` and `burst` hold for every actor. `url_bytes`, `header_bytes` and `body_bytes` bound a request's size,
    `request_s` how long it may take to arrive, `connections` how many there are at once.
    """

    rate_per_s: int
    burst: int
    url_bytes: int
    header_bytes: int
    body_bytes: int
    request_s: int
    connections: int


@dataclass(frozen=True)
class ApiSettings:
    """`credentials`: actor's name to the bearer tokens that are accepted.

    `dlq_window_s`: how long a dead letter counts as recent. `pairs_settled_s`: how old a settled order is before
    its pair is counted.
    """

    postgres: Postgres
    web: Web
    credentials: Mapping[str, tuple[str, ...]] = field(repr=False)
    dlq_window_s: int
    pairs_settled_s: int
    limits: Limits


class Reader:
    """Reads variables and collects what is wrong; `check()` raises all of it at once."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._problems: list[str] = []

    def optional(self, name: str) -> str | None:
        return self._env.get(name) or None

    def text(self, name: str, default: str | None = None) -> str:
        value = self._env.get(name) or default
        if value is None:
            self._problems.append(f"{name} is not set")
            return ""
        return value

    def number(self, name: str, default: int | None = None, low: int = 1, high: int = 2**31 - 1) -> int:
        value = self.text(name, None if default is None else str(default))
        if value and not (value.isascii() and value.isdecimal() and low <= int(value) <= high):
            self._problems.append(f"{name} must be a whole number from {low} to {high}")
            return low
        return int(value) if value else low

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        value = self.text(name, default)
        if value not in choices:
            self._problems.append(f"{name} must be one of {', '.join(choices)}")
        return value

    def tokens(self, name: str) -> dict[str, tuple[str, ...]]:
        """Each actor's tokens; one may stand without its list."""
        try:
            value = json.loads(self.text(name) or "null")
        except ValueError:
            value = None
        if isinstance(value, dict) and value:
            found = {actor: (given,) if isinstance(given, str) else given for actor, given in value.items()}
            if all(isinstance(t, tuple | list) and t and all(isinstance(x, str) and x for x in t)
                   for t in found.values()):  # fmt: skip
                return {actor: tuple(given) for actor, given in found.items()}
        self._problems.append(
            f'{name} must be a JSON object {{"actor": "bearer token" or a list of them}} with at least one actor'
        )
        return {}

    def check(self) -> None:
        if self._problems:
            raise SettingsError(sorted(set(self._problems)))

    def postgres(self, prefix: str = "") -> Postgres:
        return Postgres(
            host=self.text(f"{prefix}PGHOST"),
            port=self.number(f"{prefix}PGPORT", 5432, high=65535),
            database=self.text(f"{prefix}PGDATABASE"),
            user=self.text(f"{prefix}PGUSER"),
            password=self.text(f"{prefix}PGPASSWORD"),
            sslmode=self.text(f"{prefix}PGSSLMODE", "prefer"),
            other_password=self.optional(f"{prefix}PGPASSWORD_OTHER"),
        )

    def kafka(self) -> Kafka:
        protocol = self.choice("KAFKA_SECURITY_PROTOCOL", PROTOCOLS, "PLAINTEXT")
        sasl = protocol.startswith("SASL")
        ledger, order = self.hubs()
        return Kafka(
            bootstrap=self.text("KAFKA_BOOTSTRAP"),
            security_protocol=protocol,
            sasl_mechanism=self.text("KAFKA_SASL_MECHANISM", "PLAIN") if sasl else None,
            sasl_username=self.text("KAFKA_SASL_USERNAME") if sasl else None,
            sasl_password=self.text("KAFKA_SASL_PASSWORD") if sasl else None,
            ssl_cafile=self.optional("KAFKA_SSL_CAFILE"),
            hub_ledger=ledger,
            hub_order=order,
        )

    def hubs(self) -> tuple[str, str]:
        return (
            self.text("HUB_LEDGER", "ledger.entry.upserted"),
            self.text("HUB_ORDER", "payment.order.upserted"),
        )

    def limits(self) -> Limits:
        return Limits(
            rate_per_s=self.number("API_RATE_PER_S", 1000),
            burst=self.number("API_BURST", 2000),
            url_bytes=self.number("API_URL_BYTES", 4096, low=256),
            header_bytes=self.number("API_HEADER_BYTES", 16_384, low=256),
            body_bytes=self.number("API_BODY_BYTES", 1024, low=0),
            request_s=self.number("API_REQUEST_S", 10),
            connections=self.number("API_CONNECTIONS", 1000),
        )

    def web(self) -> Web:
        return Web(
            host=self.text("WEB_HOST", "127.0.0.1"),
            port=self.number("WEB_PORT", high=65535),
            revision=self.text("APP_REVISION", "unknown"),
            log_level=self.choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"),
        )


def postgres_settings(env: Mapping[str, str], prefix: str = "") -> Postgres:
    """PGHOST … of this environment, or SOURCE_PGHOST … with the prefix `SOURCE_`."""
    reader = Reader(env)
    settings = reader.postgres(prefix)
    reader.check()
    return settings


def hub_settings(env: Mapping[str, str]) -> tuple[str, str]:
    """The names of the two topics, for a job that has no business with the broker: ledger entries, orders."""
    return Reader(env).hubs()


def kafka_settings(env: Mapping[str, str]) -> Kafka:
    reader = Reader(env)
    settings = reader.kafka()
    reader.check()
    return settings


def consumer_settings(env: Mapping[str, str]) -> ConsumerSettings:
    reader = Reader(env)
    settings = ConsumerSettings(
        postgres=reader.postgres(),
        kafka=reader.kafka(),
        web=reader.web(),
        group=reader.text("CONSUMER_GROUP"),
        batch_max_records=reader.number("BATCH_MAX_RECORDS", 5000, high=100_000),
        state_dir=reader.text("STREAM_STATE_DIR"),
    )
    reader.check()
    return settings


def api_settings(env: Mapping[str, str]) -> ApiSettings:
    reader = Reader(env)
    settings = ApiSettings(
        postgres=reader.postgres(),
        web=reader.web(),
        credentials=reader.tokens("API_CREDENTIALS"),
        dlq_window_s=reader.number("DLQ_WINDOW_S", 300),
        pairs_settled_s=reader.number("PAIRS_SETTLED_S", 300, low=0),
        limits=reader.limits(),
    )
    reader.check()
    return settings
