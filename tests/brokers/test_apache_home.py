"""Apache Kafka's own ground: what has to be installed, and a preparation that was cut off."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.model.diagnostic import Refused
from engine.providers.local.brokers.apache import Apache
from engine.providers.local.brokers.engine import Place
from tests.brokers.server import QUIET, Server
from tests.support.postgres import free_port


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "broker", {"kafka": free_port(), "controller": free_port()})


def _codes(place: Place) -> list[str]:
    with pytest.raises(Refused) as refused:
        Apache().prepare(place, QUIET)
    assert all(d.mend for d in refused.value.diagnostics)
    return [d.code for d in refused.value.diagnostics]


def test_without_java(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert _codes(place) == ["java-missing"]
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _codes(place) == ["java-missing"]


def test_with_an_old_java(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert _codes(place) == ["java-missing"]


@pytest.mark.skipif(shutil.which("java") is None, reason="no java on PATH")
def test_without_jars(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = shutil.which("java")
    assert java is not None
    monkeypatch.setenv("JAVA_HOME", str(Path(java).resolve().parents[1]))
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    assert _codes(place) == ["kafka-missing"]
    monkeypatch.delenv("KAFKA_HOME")
    monkeypatch.setenv("TXPLAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _codes(place) == ["maven-missing"]


@pytest.mark.parametrize("engine", ["apache"], indirect=True, scope="session")
def test_a_format_that_was_cut_off(own_server: Server) -> None:
    """The last file of a format is the one that says that it is done."""
    own_server.stop()
    data = own_server.place.folder / "data"
    (data / "meta.properties").unlink()
    shutil.rmtree(data / "__cluster_metadata-0")
    own_server.start()
    assert own_server.session.reachable()
