"""Where Apache Kafka's jars are: a distribution at KAFKA_HOME, or a cache folder that Maven fills once.

Owns: the pinned versions and the cache `<TXPLAN_CACHE or ~/.cache/txplan>/kafka-<version>`. Must not: run Kafka.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from engine.model.diagnostic import Refused, error
from engine.providers.local.brokers.engine import Say
from engine.providers.local.files import locked

VERSION = "4.4.0"
_LOG4J = "2.25.5"
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_RESOLVE_S = 600

# Kafka's own log binding is not among its dependencies; without one the broker would say nothing when it fails.
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>txplan</groupId><artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>{_LOG4J}</version>
    </dependency>
  </dependencies>
</project>
"""


def classpath(say: Say | None = None) -> str:
    """Java's class path of the broker. With `say`, missing jars are fetched; without, they are Refused."""
    home = os.environ.get("KAFKA_HOME")
    libs = Path(home) / "libs" if home else _cache() / f"kafka-{VERSION}"
    if not any(libs.glob("kafka_2.13-*.jar")):
        if home or say is None:
            raise Refused([error("kafka-missing", f"there is no Apache Kafka in {libs}",
                                 mend="set KAFKA_HOME to a Kafka 4 distribution, or unset it to have Maven fetch it")])
        _fetch(libs, say)
    return f"{libs}/*"


def _cache() -> Path:
    chosen = os.environ.get("TXPLAN_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "txplan"


def _fetch(libs: Path, say: Say) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise Refused([error("maven-missing", "Apache Kafka's jars are fetched by Maven, and there is no mvn",
                             mend="install Maven, or set KAFKA_HOME to a Kafka 4 distribution, or choose another "
                                  "broker.engine")])
    libs.parent.mkdir(parents=True, exist_ok=True)
    with locked(libs.parent / f".{libs.name}.lock"):
        if any(libs.glob("kafka_2.13-*.jar")):
            return
        say.note(f"fetching Apache Kafka {VERSION} by Maven")
        with tempfile.TemporaryDirectory(dir=libs.parent, prefix=f".{libs.name}.") as name:
            work = Path(name)
            (work / "pom.xml").write_text(_POM)
            _run([maven, "-q", "-B", "-C", "-f", str(work / "pom.xml"), _PLUGIN, "-DincludeScope=runtime",
                  f"-DoutputDirectory={work / 'libs'}"], work / "mvn.log", say)
            # Whole or not at all: a fetch that is cut off leaves no half-filled folder behind.
            (work / "libs").rename(libs)


def _run(command: list[str], log: Path, say: Say) -> None:
    deadline = time.monotonic() + _RESOLVE_S
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None and time.monotonic() < deadline and not say.cancelled():
                time.sleep(0.1)
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait()
    if process.returncode:
        # A repository's address may carry credentials.
        text = re.sub(r"//[^/@\s]+@", "//***@", log.read_text(errors="replace")).strip()[-1000:]
        raise Refused([error("kafka-fetch-failed", f"Maven could not fetch Apache Kafka {VERSION}", text,
                             "mend Maven's settings, or set KAFKA_HOME to a Kafka 4 distribution")])
