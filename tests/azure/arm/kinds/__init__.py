"""One file a resource provider; a type is found by being a subclass of ResourceType in one of them."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from tests.azure.arm.errors import ArmError
from tests.azure.arm.paths import parse
from tests.azure.arm.resource import ResourceType

if TYPE_CHECKING:
    from tests.azure.arm.server import ArmServer


class Types:
    """All types of a server, by name in lower case."""

    def __init__(self, arm: ArmServer) -> None:
        for module in pkgutil.iter_modules(__path__):
            importlib.import_module(f"{__name__}.{module.name}")
        self.by_name = {kind.type.lower(): kind(arm) for kind in _subclasses(ResourceType) if kind.type}

    def of_id(self, resource_id: str) -> ResourceType:
        """The type of a resource's id."""
        target = parse(resource_id)
        return self.by_name["microsoft.resources/resourcegroups" if target is None else target.type.lower()]

    def find(self, name: str, version: str) -> ResourceType:
        """The type, or ARM's refusal of an unknown type or api-version."""
        kind = self.by_name.get(name.lower())
        if kind is None:
            raise ArmError(400, "InvalidResourceType", f"The resource type '{name}' could not be found in the "
                           f"namespace '{name.split('/')[0]}' for api version '{version}'.")
        if version not in kind.versions:
            raise ArmError(400, "NoRegisteredProviderFound", "No registered resource provider found for location "
                           f"'westus2' and API version '{version}' for type '{name.split('/', 1)[1]}'. The supported "
                           f"api-versions are '{', '.join(kind.versions)}'.")
        return kind


def _subclasses(base: type[ResourceType]) -> list[type[ResourceType]]:
    return [found for sub in base.__subclasses__() for found in (sub, *_subclasses(sub))]
