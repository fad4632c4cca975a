"""The stream application: a Faust app whose consumer hands over batches.

Owns: Faust's settings, the credentials for the broker, and how the parts of ``consumer`` are put
together. Must not: hold logic of its own about records, offsets or faults.

Started as ``faust -A streamapp.app worker`` or ``python -m streamapp consumer``, which is the same.
The app is made when it is first asked for, so that importing this module reads no environment.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Iterable
from functools import cache
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.types.auth import CredentialsT
from mode import ServiceT
from yarl import URL

from streamapp.consumer.health import Health, start_watchdog
from streamapp.consumer.member import Membership
from streamapp.consumer.transport import BatchTransport
from streamapp.consumer.web import add_pages
from streamapp.consumer.writer import BatchWriter
from streamapp.settings import ConsumerSettings, Kafka, consumer_settings

MEBIBYTE = 1024 * 1024


class ConsumeOnly(BootStrategy):
    """No producer: the app publishes nothing, so a listen-only credential is enough."""

    enable_kafka_producer = False
    enable_kafka_consumer = True


class StreamApp(faust.App):
    """The Faust app; ``writer`` is the database side of its batches."""

    BootStrategy = ConsumeOnly

    def __init__(self, settings: ConsumerSettings) -> None:
        self.settings = settings
        self.health = Health()
        self.writer = BatchWriter(settings, self.health)
        super().__init__(settings.group, **_faust_settings(settings))

    def _new_transport(self) -> BatchTransport:
        transport = BatchTransport(self.conf.broker_consumer, self)
        transport.handler = self.writer
        settings = self.settings
        transport.membership = Membership(settings.state_dir, settings.web.port, settings.group)
        return transport

    async def on_start(self) -> None:
        await super().on_start()
        kafka = self.settings.kafka
        # No agent reads these: a channel in the conductor is what makes Faust subscribe.
        self.topics.add(self.topic(kafka.hub_ledger, kafka.hub_order))
        start_watchdog(self.health)

    def on_init_dependencies(self) -> Iterable[ServiceT]:
        return [self.writer, *super().on_init_dependencies()]


def _faust_settings(settings: ConsumerSettings) -> dict[str, Any]:
    kafka, web = settings.kafka, settings.web
    return {
        "broker": [URL(f"kafka://{server.strip()}") for server in kafka.bootstrap.split(",")],
        "broker_credentials": _credentials(kafka),
        "broker_max_poll_records": settings.batch_max_records,
        "consumer_max_fetch_size": 4 * MEBIBYTE,
        "consumer_auto_offset_reset": "earliest",
        # Event Hubs drops connections that are idle for four minutes.
        "consumer_metadata_max_age_ms": 180_000,
        "consumer_connections_max_idle_ms": 180_000,
        # A member that died holds its partitions until its session ends, or, where the broker waits for it
        # in a rebalance, until that ends. The rebalance must leave room for a batch in flight to finish.
        "broker_session_timeout": 15.0,
        "broker_rebalance_timeout": 20.0,
        "broker_request_timeout": 40.0,
        "topic_disable_leader": True,
        "topic_allow_declare": False,
        "table_standby_replicas": 0,
        "datadir": settings.state_dir,
        "web_bind": web.host,
        "web_host": web.host,
        "web_port": web.port,
        "web_router_enabled": False,
        "web_tables_enabled": False,
        "web_stats_enabled": False,
        "web_graph_enabled": False,
        "worker_redirect_stdouts": False,
        "autodiscover": False,
    }


def _credentials(kafka: Kafka) -> CredentialsT | None:
    tls = None
    if kafka.security_protocol.endswith("SSL"):
        tls = ssl.create_default_context(cafile=kafka.ssl_cafile)
    if kafka.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password,
            mechanism=kafka.sasl_mechanism,
            ssl_context=tls,
        )
    return faust.SSLCredentials(tls) if tls else None


@cache
def make_app() -> StreamApp:
    """The app of this process, from its environment; ``SettingsError`` names what is missing."""
    app = StreamApp(consumer_settings(os.environ))
    add_pages(app)
    return app


def __getattr__(name: str) -> Any:
    if name == "app":
        return make_app()
    raise AttributeError(name)


def main(arguments: list[str]) -> int:
    """Run Faust's worker for this app (``python -m streamapp consumer``); ends by SystemExit."""
    app = make_app()
    # Faust names its levels crit, error, warn, info, debug.
    level = app.settings.web.log_level.lower().removesuffix("ing")
    sys.argv = ["faust", "--quiet", "worker", "--loglevel", level]
    app.main()
    return 0
