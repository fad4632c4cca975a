"""The resource types of Azure, one file each; a module's `TYPES` are found and nothing else names them."""

from __future__ import annotations

import importlib

from engine.discovery import module_names
from engine.providers.azure.resource import AzureType, Ground


def discover(ground: Ground) -> dict[str, AzureType]:
    """All types of this package by name."""
    found: dict[str, AzureType] = {}
    for name in module_names(__path__):
        for made in importlib.import_module(f"{__name__}.{name}").TYPES:
            found[made.type] = made(ground)
    return found
