"""Builds the manifest from a merged tree.

Owns: which value goes where, and the defaults of values that no profile needs to hold (the schema's `default`). Must
not: judge values against each other; `checks` does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, cast

from engine.assets import asset
from engine.load.reader import Reader
from engine.model.diagnostic import error
from engine.model.manifest import (
    Access,
    Api,
    ApiLimits,
    Azure,
    Backfill,
    BackfillSource,
    Broker,
    BrokerEngine,
    Consumer,
    Cutover,
    FilesSource,
    Hub,
    Load,
    Manifest,
    Names,
    Postgres,
    PostgresSource,
    Reconcile,
    Secret,
    Slo,
    SyntheticSource,
)
from engine.model.value import digest
from engine.model.verdict import DestroyLimit
from engine.policy.naming import ENV_SHORT


def build(reader: Reader, file: str) -> Manifest:
    """The manifest that `reader` reads; to be used only where neither it nor a check found an error.

    The digest is over the values as they were read: `5m` and `300s` are the same, a path is as it was written, and
    neither the place of a file nor the order of keys counts.
    """
    sections = Manifest(
        file=file, digest="", target=cast(Literal["local", "azure"], reader.text("target")),
        profile=reader.text("profile"), names=_names(reader), ttl=reader.day("ttl"), tags=reader.texts("tags"),
        postgres=_postgres(reader), broker=_broker(reader),
        hubs=tuple(_hub(reader, key) for key in ("ledger", "order")), secrets=_secrets(reader),
        cutover=Cutover(reader.instant("cutover.at"), reader.duration("cutover.skew"),
                        reader.duration("cutover.recovery_buffer")),
        backfill=Backfill(_backfill_source(reader), reader.integer("backfill.chunk_rows")),
        consumer=Consumer(reader.integer("consumer.replicas"), reader.integer("consumer.batch_records")),
        api=Api(reader.integer("api.replicas"), _limits(reader)), load=_load(reader), slo=_slo(reader),
        reconcile=Reconcile(reader.flag("reconcile.source_is_live", False)),
        migrations=reader.optional_file("migrations") or str(asset("migrations")),
        access=cast(Access, reader.text("access", "public")),
        max_destroy=DestroyLimit(reader.integer("max_destroy.count", 2), reader.number("max_destroy.share", 0.3)),
        azure=_azure(reader) if reader.text("target") == "azure" else None)
    return replace(sections, digest=digest(reader.values), values=reader.values, positions=reader.positions())


def _names(reader: Reader) -> Names:
    env = reader.text("env")
    if reader.ok("env") and env not in ENV_SHORT and not reader.has("names.env_short"):
        reader.report("env", error("missing-key", f"names.env_short is missing, and the env {env} has no short form",
                                   mend=f"add names.env_short, or take one of {', '.join(ENV_SHORT)}", rule="P3.3"))
    return Names(team=reader.text("team"), project=reader.text("project"), short=reader.text("names.short"),
                 owner=reader.text("owner"), env=env, env_short=reader.text("names.env_short", ENV_SHORT.get(env, "")))


def _postgres(reader: Reader) -> Postgres:
    return Postgres(version=reader.integer("postgres.version"), database=reader.text("postgres.database"),
                    sku=reader.text("postgres.sku"), storage_gb=reader.integer("postgres.storage_gb"),
                    parameters=reader.texts("postgres.parameters"))


def _broker(reader: Reader) -> Broker:
    return Broker(engine=cast(BrokerEngine, reader.text("broker.engine")),
                  bootstrap=reader.optional("broker.bootstrap"),
                  security_protocol=reader.text("broker.security_protocol", "PLAINTEXT"),
                  sasl_mechanism=reader.optional("broker.sasl_mechanism"),
                  username=reader.optional("broker.username"), password=reader.optional("broker.password"),
                  ca_file=reader.optional_file("broker.ca_file"))


def _azure(reader: Reader) -> Azure:
    ranges = {name: text.partition("-") for name, text in reader.texts("azure.allow").items()}
    return Azure(
        subscription=reader.text("azure.subscription").lower(), tenant=reader.optional("azure.tenant"),
        location=reader.text("azure.location").replace(" ", "").lower(),
        cloud=cast(Literal["public", "usgovernment", "china"], reader.text("azure.cloud", "public")),
        endpoint=reader.optional("azure.endpoint"), authority=reader.optional("azure.authority"),
        ca_file=reader.optional_file("azure.ca_file"),
        address_space=reader.text("azure.address_space", "10.60.0.0/16"),
        allow={name: (first, last or first) for name, (first, _, last) in ranges.items()},
        soft_deleted=cast(Literal["recover", "purge"], reader.text("azure.soft_deleted", "recover")),
        image=reader.optional("azure.image"), state=reader.optional("azure.state"))


def _hub(reader: Reader, key: str) -> Hub:
    at = f"hubs.{key}"
    return Hub(key=key, name=reader.text(f"{at}.name"), partitions=reader.integer(f"{at}.partitions"),
               retention=reader.duration(f"{at}.retention"))


def _secrets(reader: Reader) -> tuple[Secret, ...]:
    return tuple(_secret(reader, name) for name in reader.keys("secrets"))


def _secret(reader: Reader, name: str) -> Secret:
    at = f"secrets.{name}"
    if reader.has(f"{at}.generate"):
        return Secret(name, generate_bytes=reader.integer(f"{at}.generate"))
    return Secret(name, from_env=reader.optional(f"{at}.from_env"), from_file=reader.optional_file(f"{at}.from_file"))


def _backfill_source(reader: Reader) -> BackfillSource | None:
    at = "backfill.source.postgres"
    return _source_database(reader, at) if reader.has(at) else _source(reader, "backfill.source")


def _source(reader: Reader, path: str) -> FilesSource | SyntheticSource | None:
    if reader.has(f"{path}.files"):
        return FilesSource(reader.files(f"{path}.files.orders"), reader.files(f"{path}.files.ledger"))
    if reader.has(f"{path}.synthetic"):
        return _synthetic(reader, f"{path}.synthetic")
    reader.text(path)  # none
    return None


def _synthetic(reader: Reader, at: str) -> SyntheticSource:
    return SyntheticSource(
        payments=reader.integer(f"{at}.payments"), seed=reader.integer(f"{at}.seed", 1),
        late=reader.number(f"{at}.late", 0), duplicates=reader.number(f"{at}.duplicates", 0),
        out_of_order=reader.number(f"{at}.out_of_order", 0), broken=reader.number(f"{at}.broken", 0))


def _source_database(reader: Reader, at: str) -> PostgresSource:
    return PostgresSource(
        host=reader.text(f"{at}.host"), port=reader.integer(f"{at}.port", 5432),
        database=reader.text(f"{at}.database"), user=reader.text(f"{at}.user"), password=reader.text(f"{at}.password"),
        orders_table=reader.text(f"{at}.orders_table"), ledger_table=reader.text(f"{at}.ledger_table"),
        sslmode=reader.text(f"{at}.sslmode", "require"))


def _limits(reader: Reader) -> ApiLimits:
    at = "api.limits"
    return ApiLimits(
        rate_per_s=reader.integer(f"{at}.rate_per_s", 1000), burst=reader.integer(f"{at}.burst", 2000),
        url_bytes=reader.integer(f"{at}.url_bytes", 4096), header_bytes=reader.integer(f"{at}.header_bytes", 16_384),
        body_bytes=reader.integer(f"{at}.body_bytes", 1024), request_s=reader.integer(f"{at}.request_s", 10),
        connections=reader.integer(f"{at}.connections", 1000))


def _load(reader: Reader) -> Load:
    return Load(source=_source(reader, "load.source"), events_per_s=reader.integer("load.events_per_s"),
                requests_per_s=reader.integer("load.requests_per_s"), duration=reader.duration("load.duration"))


def _slo(reader: Reader) -> Slo:
    return Slo(api_p95=reader.duration("slo.api_p95"), freshness_p95=reader.duration("slo.freshness_p95"),
               error_rate=reader.number("slo.error_rate"), error_window=reader.duration("slo.error_window"),
               dlq_new=reader.integer("slo.dlq_new"), dlq_window=reader.duration("slo.dlq_window"),
               complete_pairs=reader.number("slo.complete_pairs"),
               pairs_settled_for=reader.duration("slo.pairs_settled_for"),
               lag_p95=reader.integer("slo.lag_p95", 10_000), books_off=reader.integer("slo.books_off", 0),
               differences=reader.integer("slo.differences", 0))
