"""The local target: every part of an environment as a real server on this machine, on loopback alone.

Owns: what `target: local` offers. Must not: do anything when it is opened; a folder is made by the first apply.
"""

from __future__ import annotations

from pathlib import Path

from engine.model.step import Environment
from engine.providers.base import Capabilities
from engine.providers.local.access import Access
from engine.providers.local.applied import AppliedRecords
from engine.providers.local.apps import Apps
from engine.providers.local.broker import broker_capabilities
from engine.providers.local.database import DatabaseType
from engine.providers.local.doctor import LocalDoctor
from engine.providers.local.group import GroupType
from engine.providers.local.home import Home
from engine.providers.local.jobs import Jobs
from engine.providers.local.lock import FileLock
from engine.providers.local.metrics import Scraper
from engine.providers.local.postgres import PostgresType
from engine.providers.local.processes import Processes
from engine.providers.local.register import LocalRegister, known
from engine.providers.local.vault import Vault, VaultType

__all__ = ["known", "open_target"]


def open_target(environment: Environment, state_dir: Path) -> Capabilities:
    """What this machine offers to `environment`, whose files live below `state_dir`."""
    home = Home(environment, state_dir)
    processes, vault = Processes(home), Vault(home)
    access, apps = Access(home, vault), Apps(home, processes)
    hubs, broker = broker_capabilities(home, processes, vault)
    types = (GroupType(home, processes), VaultType(home, vault), PostgresType(home, processes, vault, access),
             DatabaseType(home, vault, access))
    return Capabilities(
        resources={type_.type: type_ for type_ in types} | dict(hubs), lock=FileLock(state_dir, environment.name),
        secrets=vault, database=access, broker=broker, apps=apps, jobs=Jobs(home), metrics=Scraper(apps),
        applied=AppliedRecords(home), register=LocalRegister(home), doctor=LocalDoctor(home))
