"""A snapshot: what was live at one time, for a review without any access to the environment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engine.model.diagnostic import Diagnostic
from engine.model.observation import Observation
from engine.model.step import Environment
from engine.model.value import Attributes

SNAPSHOT_VERSION = 2


@dataclass(frozen=True, slots=True)
class Seen:
    """One step's live state, the spec by which it was looked for, and what the last apply of it left."""

    spec: Attributes
    observation: Observation
    applied: Attributes | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that was observed of one environment. Holds no secret, as no observation does."""

    snapshot_version: int
    tool_version: str
    made_by: str
    made_on: str
    made_at: datetime
    environment: Environment
    steps: tuple[Seen, ...]
    orphans: tuple[Observation, ...]
    diagnostics: tuple[Diagnostic, ...]
