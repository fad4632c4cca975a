"""The group member that this process, or the one before it, no longer is.

Owns: the note of the last member id beside the worker's state, and leaving the group in its name.
Must not: join or commit.

A process that is killed leaves its member behind, which holds its partitions until its session ends
(and some brokers never end it). The one started in its place knows the id from the note and leaves
for it, so that it gets the partitions at once. The same holds for a worker that has to join anew
under another id. A replica has a note of its own, named by its web port, which is bound by then:
whoever wrote the note is gone.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError  # type: ignore[import-untyped]
from aiokafka.protocol.group import LeaveGroupRequest  # type: ignore[import-untyped]

log = logging.getLogger(__name__)

# What aiokafka calls the coordinator of a consumer group in a look-up.
_GROUP = 0


class Membership:
    """The last known member id of one replica in one group."""

    def __init__(self, state_dir: str, port: int, group: str) -> None:
        self._note = Path(state_dir) / f"member-{port}"
        self._group = group
        self._member = self._read()

    def joined(self, member: str) -> None:
        """This is who we are now."""
        self._member = member
        self._note.write_text(f"{self._group}\n{member}\n")

    async def leave_behind(self, client: Any, current: str) -> None:
        """Before joining: leave for the id noted last, unless it still is ours. Never raises a broker's fault."""
        if not self._member or self._member == current:
            return
        former, self._member = self._member, ""
        try:
            node = await client.coordinator_lookup(_GROUP, self._group)
            await client.send(node, LeaveGroupRequest(self._group, former))
        except KafkaError as error:
            log.warning("could not leave for a former member (%s); its session ends by itself", type(error).__name__)

    def _read(self) -> str:
        try:
            group, member = self._note.read_text().splitlines()
        except (OSError, ValueError):
            return ""
        return member if group == self._group else ""
