"""A namespace is a broker: port 9093, SASL_SSL, and what a rule or a role allows."""

from __future__ import annotations

import time
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer

from tests.azure.arm import ArmServer
from tests.azure.clients import VERSIONS, Bare
from tests.brokers.server import read, wait_for

HUB, EVENTHUB = "ledger.entry.upserted", VERSIONS["eventhub"]


@pytest.fixture(scope="module")
def call(arm_real: ArmServer) -> Bare:
    return Bare(arm_real)


@pytest.fixture(scope="module")
def namespace(call: Bare) -> str:
    """The id of a namespace with a hub that has 100 records."""
    at = f"{call.group()}/providers/Microsoft.EventHub/namespaces/team4-evh"
    call.create(at, {"location": "westus2"}, EVENTHUB)
    made = call("PUT", f"{at}/eventhubs/{HUB}", {"properties": {"partitionCount": 2}}, EVENTHUB)
    assert made.status_code == 200, made.text
    told: list[Any] = []
    producer = Producer(_by_rule(call, at, "send", "Send"))
    for number in range(100):
        producer.produce(HUB, key=str(number).encode(), value=b"x", on_delivery=lambda problem, _: told.append(problem))
    assert producer.flush(20) == 0 and told == [None] * 100
    return at


def _host(call: Bare, namespace: str) -> str:
    shown = call("GET", namespace, version=EVENTHUB).json()["properties"]["serviceBusEndpoint"]
    return str(shown).removeprefix("https://").partition(":")[0]


def _by_rule(call: Bare, namespace: str, rule: str, *rights: str) -> dict[str, Any]:
    call("PUT", f"{namespace}/authorizationRules/{rule}", {"properties": {"rights": list(rights)}}, EVENTHUB)
    keys = call("POST", f"{namespace}/authorizationRules/{rule}/listKeys", version=EVENTHUB).json()
    return {"bootstrap.servers": f"{_host(call, namespace)}:9093", "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN", "sasl.username": "$ConnectionString",
            "sasl.password": keys["primaryConnectionString"], "ssl.ca.location": str(call.arm.ca_bundle),
            "log_level": 0}


def _reading(group: str) -> dict[str, Any]:
    return {"group.id": group, "auto.offset.reset": "earliest"}


def test_a_listener_reads_what_a_sender_wrote_and_sends_nothing(
    arm_real: ArmServer, call: Bare, namespace: str) -> None:
    settings = _by_rule(call, namespace, "listen", "Listen")
    consumer = Consumer(settings | _reading("by-rule"))
    consumer.subscribe([HUB])
    assert len(read(consumer, 100)) == 100
    consumer.close()
    told: list[Any] = []
    producer = Producer(settings | {"message.timeout.ms": 1500})
    producer.produce(HUB, value=b"x", on_delivery=lambda problem, _: told.append(problem))
    producer.flush(10)
    assert told[0] is not None
    broker = arm_real.state.get(namespace).private["broker"]
    assert "api key 0 wants Send" in broker.refusals


def test_a_wrong_connection_string_is_an_authentication_error(call: Bare, namespace: str) -> None:
    problems: list[int] = []
    wrong = Consumer({**_by_rule(call, namespace, "listen", "Listen"), **_reading("wrong"), "sasl.password": "wrong",
                      "error_cb": lambda problem: problems.append(problem.code())})
    wrong.subscribe([HUB])
    wait_for(lambda: wrong.poll(0.1) is None and KafkaError._AUTHENTICATION in problems)
    wrong.close()


def test_an_identity_comes_in_by_its_token_once_it_has_a_role(
    arm_real: ArmServer, call: Bare, namespace: str) -> None:
    host = _host(call, namespace)
    token = arm_real.directory.token(arm_real.owner, f"https://{host}")
    problems: list[int] = []
    settings = {"bootstrap.servers": f"{host}:9093", "security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER",
                "oauth_cb": lambda _: (token, time.time() + 3600), "ssl.ca.location": str(arm_real.ca_bundle),
                "log_level": 0, "error_cb": lambda problem: problems.append(problem.code())}
    refused = Consumer(settings | _reading("by-token"))
    refused.subscribe([HUB])
    wait_for(lambda: refused.poll(0.1) is None and KafkaError._AUTHENTICATION in problems)
    refused.close()
    call.role(namespace, "Azure Event Hubs Data Receiver", arm_real.owner.object_id)
    consumer = Consumer(settings | _reading("by-token"))
    consumer.subscribe([HUB])
    assert len(read(consumer, 100)) == 100
    consumer.close()
