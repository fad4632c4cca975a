"""The noida broker, from the wheel `noida-db`: nothing else to install, and its answers are nearly Apache Kafka's.

It writes its whole log to one snapshot file about a second after a change and at a graceful stop, so a kill -9 loses
what came after the last snapshot, and a log of hundreds of megabytes keeps a core busy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.providers.local.brokers.engine import HOST, Place, Say, packaged_binary


class Noida:
    """See the module."""

    name = "noida"
    ports = ("kafka",)
    stop_signal = "TERM"
    stop_seconds = 60

    def prepare(self, place: Place, say: Say) -> None:
        """Only the folder is needed."""
        place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def command(self, place: Place) -> Sequence[str]:
        """One service of its many, on one port."""
        binary = packaged_binary(self.name, "noida_db", "noida-db", "noida-db")
        return (binary, "start", "--only", "kafka", "--host", HOST, "--kafka-port", str(place.ports["kafka"]),
                "--data-dir", str(place.folder / "data"))

    def environment(self, place: Place) -> Mapping[str, str]:
        """Nothing."""
        return {}
