"""A broker that somebody else runs, reached with TLS and SASL: a real Apache Kafka with a secured listener."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from engine.model.diagnostic import Refused
from engine.providers.kafka import topics
from engine.providers.local.brokers.apache import Apache
from engine.providers.local.brokers.engine import Place, Say
from tests.brokers.server import DAY_MS, Server
from tests.local.environment import TAGS, Local, destroyed, open_local

_NAMESPACE, _SECRET, _PASSWORD = "team-tx-evh-kim-dev", "broker-password", "not-for-argv-7d1f"


class SecuredApache(Apache):
    """Apache Kafka with one more listener, by TLS with a password."""

    ports = ("kafka", "controller", "secured")

    def prepare(self, place: Place, say: Say) -> None:
        super().prepare(place, say)
        pem = place.folder / "server.pem"
        if not pem.exists():
            _make_certificate(pem, place.folder / "ca.pem")
        config = place.folder / "server.properties"
        lines = dict(line.split("=", 1) for line in config.read_text().splitlines())
        lines["listeners"] += f",SASL_SSL://127.0.0.1:{place.ports['secured']}"
        lines["advertised.listeners"] += f",SASL_SSL://127.0.0.1:{place.ports['secured']}"
        lines["listener.security.protocol.map"] += ",SASL_SSL:SASL_SSL"
        lines |= {
            "sasl.enabled.mechanisms": "PLAIN", "ssl.keystore.type": "PEM", "ssl.keystore.location": str(pem),
            "listener.name.sasl_ssl.plain.sasl.jaas.config":
                "org.apache.kafka.common.security.plain.PlainLoginModule required "
                f'user_kim="{_PASSWORD}";'}
        config.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))


def _make_certificate(pem: Path, ca: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256()))
    ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()) + ca.read_bytes())


@pytest.fixture(scope="module")
def secured(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server.running_or_skip(SecuredApache()) as server:
        yield server


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    yield from destroyed(open_local(tmp_path / "state"))


def _connect(local: Local, server: Server, password: str = _PASSWORD, **changed: Any) -> None:
    local.make_group()
    assert local.target.secrets is not None
    local.target.secrets.set(_SECRET, password)
    bootstrap = f"127.0.0.1:{server.place.ports['secured']}"
    local.apply("namespace", **{
        "name": _NAMESPACE, "tags": TAGS, "engine": "external", "bootstrap": bootstrap,
        "security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "username": "kim", "password": _SECRET,
        "ca_file": str(server.place.folder / "ca.pem"), **changed})


def _hub(name: str, **changed: Any) -> dict[str, Any]:
    return {"name": name, "partitions": 2, "retention_hours": 72.0, "namespace": _NAMESPACE, **changed}


def test_with_tls_and_password(local: Local, secured: Server) -> None:
    _connect(local, secured)
    broker, namespace = local.target.broker, local.target.resources["namespace"]
    assert broker is not None and namespace.ready(_NAMESPACE) is None
    local.apply("hub", **_hub("ours"))
    assert local.observe("hub", "ours") == _hub("ours")
    broker.commit("bo-sync-dev-kim-v1", {("ours", 0): 0})
    assert broker.committed("bo-sync-dev-kim-v1", ["ours"]) == {("ours", 0): 0}
    broker.delete_group("bo-sync-dev-kim-v1")
    assert broker.now().tzinfo is not None
    assert broker.client_environment()["KAFKA_SASL_PASSWORD"] == _PASSWORD
    assert _PASSWORD not in str(local.observe("namespace", _NAMESPACE))
    local.target.resources["hub"].delete("ours", local.context)
    namespace.delete(_NAMESPACE, local.context)
    # What the environment made there is gone, its clock's topic too.
    assert topics.names(secured.session) == []


@pytest.mark.parametrize(("password", "changed"), [("wrong-5c02", {}), (_PASSWORD, {"ca_file": None})])
def test_wrong_credentials_are_told_without_the_password(
        local: Local, secured: Server, password: str, changed: dict[str, Any]) -> None:
    _connect(local, secured, password, **changed)
    assert local.target.broker is not None
    waits = local.target.resources["namespace"].ready(_NAMESPACE)
    with pytest.raises(Refused) as refused:
        local.target.broker.latest_offsets("ours")
    assert [d.code for d in refused.value.diagnostics] == ["broker-away"]
    assert waits is not None and password not in waits + repr(refused.value.diagnostics)


def test_a_hub_of_somebody_else_is_used_and_never_changed(local: Local, secured: Server) -> None:
    topics.ensure(secured.session, "theirs", 2, 3 * DAY_MS)
    _connect(local, secured)
    hub = local.target.resources["hub"]
    local.apply("hub", **_hub("theirs"))
    with pytest.raises(Refused) as refused:
        local.apply("hub", **_hub("theirs", retention_hours=1.0))
    assert [d.code for d in refused.value.diagnostics] == ["foreign-hub"]
    assert hub.inventory() == []
    hub.delete("theirs", local.context)
    admin: AdminClient = secured.session.admin
    assert "theirs" in admin.list_topics(timeout=10).topics
    topics.delete(secured.session, "theirs")
