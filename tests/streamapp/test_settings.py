"""Settings: what is read, what is refused, all problems at once, and no secret in any text."""

from __future__ import annotations

import pytest

from streamapp.settings import (
    SettingsError,
    api_settings,
    consumer_settings,
    kafka_settings,
    postgres_settings,
)

PG = {"PGHOST": "127.0.0.1", "PGDATABASE": "d", "PGUSER": "u", "PGPASSWORD": "s3cret!"}
KAFKA = {"KAFKA_BOOTSTRAP": "127.0.0.1:9092"}
CONSUMER = PG | KAFKA | {"WEB_PORT": "8080", "CONSUMER_GROUP": "g", "STREAM_STATE_DIR": "state"}
API = PG | {"WEB_PORT": "8080", "API_CREDENTIALS": '{"kim": "s3cret!"}'}


def test_defaults() -> None:
    settings = consumer_settings(CONSUMER)
    assert (settings.batch_max_records, settings.web.host, settings.postgres.port) == (5000, "127.0.0.1", 5432)
    assert (settings.kafka.hub_ledger, settings.kafka.hub_order) == (
        "ledger.entry.upserted",
        "payment.order.upserted",
    )
    assert settings.kafka.librdkafka() == {
        "bootstrap.servers": "127.0.0.1:9092",
        "security.protocol": "PLAINTEXT",
    }


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        consumer_settings({"BATCH_MAX_RECORDS": "many", "LOG_LEVEL": "LOUD", "PGPORT": "70000"})
    told = {problem.split()[0] for problem in caught.value.problems}
    assert told == {
        "BATCH_MAX_RECORDS", "CONSUMER_GROUP", "KAFKA_BOOTSTRAP", "LOG_LEVEL", "PGDATABASE", "PGHOST",
        "PGPASSWORD", "PGPORT", "PGUSER", "STREAM_STATE_DIR", "WEB_PORT",
    }  # fmt: skip


def test_sasl_needs_a_name_and_a_password() -> None:
    with pytest.raises(SettingsError) as caught:
        kafka_settings(KAFKA | {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"})
    assert {problem.split()[0] for problem in caught.value.problems} == {
        "KAFKA_SASL_PASSWORD",
        "KAFKA_SASL_USERNAME",
    }


@pytest.mark.parametrize("value", ["", "{", "[]", "{}", '{"kim": 5}', '{"kim": ""}'])
def test_credentials_that_are_none(value: str) -> None:
    with pytest.raises(SettingsError):
        api_settings(API | {"API_CREDENTIALS": value})


def test_the_windows_of_the_counts() -> None:
    given = api_settings(API | {"DLQ_WINDOW_S": "60", "PAIRS_SETTLED_S": "0"})
    assert (given.dlq_window_s, given.pairs_settled_s) == (60, 0)
    assert (api_settings(API).dlq_window_s, api_settings(API).pairs_settled_s) == (300, 300)
    with pytest.raises(SettingsError):
        api_settings(API | {"DLQ_WINDOW_S": "0"})


def test_a_source_has_its_own_prefix() -> None:
    source = {f"SOURCE_{name}": value for name, value in PG.items()}
    assert postgres_settings(source, "SOURCE_").host == "127.0.0.1"
    with pytest.raises(SettingsError):
        postgres_settings(PG, "SOURCE_")


def test_no_text_of_settings_shows_a_secret() -> None:
    sasl = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "s3cret!"}
    assert "s3cret!" not in repr(consumer_settings(CONSUMER | sasl))
    assert "s3cret!" not in repr(api_settings(API))
