"""The resource type `group`: the environment's folder and its process supervisor.

Owns: creating and removing an environment as a whole. Must not: know what runs in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.model.value import Attributes
from engine.providers.base import Context, Foreign, Progress
from engine.providers.local import strays
from engine.providers.local.foreign import in_group
from engine.providers.local.home import Home
from engine.providers.local.processes import Processes


class GroupType:
    """{name, tags}."""

    type = "group"
    immutable: frozenset[str] = frozenset()
    grows: frozenset[str] = frozenset()

    def __init__(self, home: Home, processes: Processes) -> None:
        self._home, self._processes = home, processes

    def observe(self, name: str) -> Attributes | None:
        """The owner's name and tags as recorded, so that a foreign folder shows; `needs` the supervisor when it is
        down."""
        group = self._home.group()
        if group is None:
            return None
        live: dict[str, Any] = {"name": group["name"], "tags": group["tags"]}
        return live if self._processes.alive() else live | {"needs": ["supervisor"]}

    def apply(self, name: str, spec: Attributes, context: Context) -> None:
        """Make the folder; start the supervisor, and with it all that ran under it before."""
        tags = spec["tags"]
        assert isinstance(tags, dict)
        abandoned = self._home.abandoned()
        if abandoned is not None:
            strays.end_all(abandoned)
        self._home.create(name, tags)
        self._processes.start()

    def ready(self, name: str) -> str | None:
        """None where the supervisor answers."""
        return None if self._processes.alive() else "the process supervisor"

    def delete(self, name: str, context: Context) -> None:
        """End every process of the environment and remove every file of it."""
        group = self._home.group()
        if group is not None:
            if group["name"] != name:
                raise self._home.foreign(name)
            context.emit(Progress(note="ending its processes"))
            self._processes.stop_all()
        self._home.remove()

    def foreign(self, name: str) -> Sequence[Foreign] | None:
        """Files and processes of others in the environment's folders; marks of the platform, and locks."""
        group = self._home.group()
        return [] if group is None else in_group(self._home, self._processes, group)

    def inventory(self) -> Sequence[str]:
        """The recorded group, or nothing."""
        group = self._home.group()
        return [] if group is None else [group["name"]]
