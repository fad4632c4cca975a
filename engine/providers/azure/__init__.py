"""The azure target: every part of an environment as a resource of one subscription.

Owns: what `target: azure` offers. Must not: call anything when it is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.model.step import Environment
from engine.providers.azure.access import Access
from engine.providers.azure.apps import Apps
from engine.providers.azure.arm import Arm
from engine.providers.azure.broker import EventHubs
from engine.providers.azure.container import Containers
from engine.providers.azure.credentials import Credential
from engine.providers.azure.doctor import AzureDoctor
from engine.providers.azure.image import Images, ImageType
from engine.providers.azure.jobs import Jobs
from engine.providers.azure.lease import lock_of
from engine.providers.azure.metrics import Scraper
from engine.providers.azure.query import Query
from engine.providers.azure.records import AppliedRecords
from engine.providers.azure.resource import Ground
from engine.providers.azure.site import site_of
from engine.providers.azure.survey import Survey
from engine.providers.azure.types import discover
from engine.providers.azure.vault import KeyVault
from engine.providers.base import Capabilities, ResourceType


def open_target(environment: Environment, names: Mapping[str, str], state_dir: Path) -> Capabilities:
    """What Azure offers to `environment`, whose resources are called `names` by their tokens (P3.3)."""
    site = site_of(environment, names)
    credential = Credential(site)
    folder = state_dir.expanduser().absolute() / "azure" / environment.name
    arm = Arm(site, credential, folder / "pending")
    vault, images = KeyVault(arm, site), Images(arm, site)
    access = Access(arm, site, vault)
    containers = Containers(site, images, vault)
    apps = Apps(arm, site, containers)
    types: dict[str, ResourceType] = {**discover(Ground(arm, site, Survey(arm, site), vault, access)),
                                      "image": ImageType(images)}
    return Capabilities(
        resources=types, lock=lock_of(site, credential, state_dir), secrets=vault, database=access,
        broker=EventHubs(arm, site), apps=apps, jobs=Jobs(arm, site, containers, Query(arm, site)),
        metrics=Scraper(apps, site), applied=AppliedRecords(folder / "applied"),
        doctor=AzureDoctor(arm, site, credential), images=images)
