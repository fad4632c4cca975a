"""`identity` {name, tags, location}: the user-assigned identity under which apps and jobs run."""

from __future__ import annotations

from typing import Any

from engine.model.value import Attributes
from engine.providers.azure.resource import AzureType
from engine.providers.base import Context


class Identity(AzureType):
    """See the module."""

    type = "identity"
    path = "Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
    api = "2024-11-30"
    kind = "Microsoft.ManagedIdentity/userAssignedIdentities"

    def body(self, name: str, spec: Attributes, context: Context) -> dict[str, Any]:
        """Nothing but location and tags."""
        return {}


TYPES = (Identity,)
