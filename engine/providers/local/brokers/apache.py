"""Apache Kafka 4: one KRaft node that is broker and controller, on Java 17 or newer.

Owns: its configuration, its formatted storage, and where Java is. Its jars come from `kafka_jars`.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.model.diagnostic import Refused, error
from engine.providers.local.brokers.engine import HOST, Place, Say
from engine.providers.local.brokers.kafka_jars import classpath

_MIN_JAVA = 17

# A small heap for a single user; quick starts weigh more than peak speed, hence the light compiler and collector.
# Without UsePerfData off, a killed JVM leaves a file behind in the machine's /tmp.
_JVM = ("-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto",
        "-Djava.awt.headless=true", "-Dlog4j2.level=WARN")

_SETTINGS = {
    "process.roles": "broker,controller", "node.id": "1", "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # Hubs are declared; one that a client merely mentions must not appear, as on Event Hubs.
    "auto.create.topics.enable": "false",
    # The first member of a group gets its partitions at once.
    "group.initial.rebalance.delay.ms": "0",
    # A broker that was killed may register again when its last session has ended.
    "broker.session.timeout.ms": "4000", "broker.heartbeat.interval.ms": "1000",
    "offsets.topic.replication.factor": "1", "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1", "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1", "share.coordinator.state.topic.num.partitions": "1",
    "num.network.threads": "2", "num.io.threads": "4", "log.cleaner.dedupe.buffer.size": "16777216",
}


class Apache:
    """See the module."""

    name = "apache"
    ports: Sequence[str] = ("kafka", "controller")
    stop_signal = "TERM"
    stop_seconds = 60

    def prepare(self, place: Place, say: Say) -> None:
        """Find Java and the jars, write the configuration, format the storage where it is not formatted yet."""
        java, jars = _java(), classpath(say)
        place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (place.folder / "tmp").mkdir(mode=0o700, exist_ok=True)
        self._config(place).write_text("".join(f"{k}={v}\n" for k, v in self._settings(place).items()))
        if (self._data(place) / "meta.properties").exists():
            return
        # Joined to its option, since the id may begin with a dash.
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        done = subprocess.run(
            [java, *_JVM, *_scratch(place), "-cp", jars, "kafka.tools.StorageTool", "format", "--ignore-formatted",
             f"--cluster-id={cluster}", "-c", str(self._config(place))], capture_output=True, text=True,
            check=False, timeout=120)
        if done.returncode:
            raise Refused([error("broker-format-failed", "Apache Kafka's storage could not be formatted",
                                 (done.stderr or done.stdout).strip()[-1000:])])

    def command(self, place: Place) -> Sequence[str]:
        """The broker in the foreground."""
        return (_java(), *_JVM, *_scratch(place), "-cp", classpath(), "kafka.Kafka", str(self._config(place)))

    def environment(self, place: Place) -> Mapping[str, str]:
        """Nothing."""
        return {}

    def _settings(self, place: Place) -> Mapping[str, str]:
        controller = f"{HOST}:{place.ports['controller']}"
        return {**_SETTINGS, "log.dirs": str(self._data(place)), "controller.quorum.voters": f"1@{controller}",
                "listeners": f"PLAINTEXT://{place.bootstrap},CONTROLLER://{controller}",
                "advertised.listeners": f"PLAINTEXT://{place.bootstrap}"}

    @staticmethod
    def _config(place: Place) -> Path:
        return place.folder / "server.properties"

    @staticmethod
    def _data(place: Place) -> Path:
        return place.folder / "data"


def _scratch(place: Place) -> Sequence[str]:
    """Compression libraries unpack themselves into the temporary folder."""
    return (f"-Djava.io.tmpdir={place.folder / 'tmp'}",)


def _java() -> str:
    """A Java that is new enough: JAVA_HOME's, or the first on PATH."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    text = ""
    if java and Path(java).is_file():
        text = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=30).stderr
    found = re.search(r'version "(\d+)', text)
    if not java or not found or int(found[1]) < _MIN_JAVA:
        raise Refused([error("java-missing", f"Apache Kafka needs Java {_MIN_JAVA} or newer",
                             f"found Java {found[1]} at {java}" if found else "no java was found",
                             f"install a Java {_MIN_JAVA} runtime, or set JAVA_HOME, or choose another broker.engine")])
    return java
