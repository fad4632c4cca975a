"""Makes the files beside it from bicep-types-az: the pinned resource types alone, without descriptions.

`python -m tests.azure.types.prune FOLDER` reads FOLDER/NAME-VERSION.json (each a `types.json` of bicep-types-az).
Entries keep their content and lose `description`; references are numbered anew. One entry a line, for reading changes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
KEPT = {
    "resources_11-2025-04-01.json": ["resourceGroups", "tags"],
    "operationalinsights-2025-07-01.json": ["workspaces"],
    "applicationinsights-2020-02-02.json": ["components"],
    "keyvault-2026-02-01.json": ["vaults", "locations/deletedVaults"],
    "msi-2024-11-30.json": ["userAssignedIdentities", "userAssignedIdentities/federatedIdentityCredentials"],
    "authorization-2022-04-01.json": ["roleAssignments", "roleDefinitions"],
    "postgresql-2025-08-01.json": [
        "flexibleServers", "flexibleServers/configurations", "flexibleServers/databases",
        "flexibleServers/firewallRules",
    ],
    "eventhub-2026-01-01.json": [
        "namespaces", "namespaces/authorizationRules", "namespaces/eventhubs", "namespaces/networkRuleSets",
        "namespaces/eventhubs/authorizationRules", "namespaces/eventhubs/consumergroups",
    ],
    "containerregistry-2025-11-01.json": ["registries"],
    "app_0-2026-01-01.json": ["managedEnvironments", "containerApps", "jobs", "jobs/executions"],
}
FUNCTIONS = {"Microsoft.App/jobs start"}
"""Of the functions only the inputs of those that are called with a body."""


def pruned(entries: list[dict[str, Any]], kept: list[str]) -> list[dict[str, Any]]:
    """The entries that the kept resource types reach, in their old order."""
    wanted: set[int] = set()
    todo = [
        number
        for number, entry in enumerate(entries)
        if (entry["$type"] == "ResourceType" and entry["name"].split("@")[0].split("/", 1)[1] in kept)
        or (entry["$type"] == "ResourceFunctionType" and f"{entry['resourceType']} {entry['name']}" in FUNCTIONS)
    ]
    while todo:
        number = todo.pop()
        if number not in wanted:
            wanted.add(number)
            todo += _references(entries[number])
    numbers = {old: new for new, old in enumerate(sorted(wanted))}
    return [_renumbered(entries[old], numbers) for old in sorted(wanted)]


def _references(value: Any) -> list[int]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            return [int(value["$ref"][2:])]
        return [number for item in value.values() for number in _references(item)]
    return [number for item in value for number in _references(item)] if isinstance(value, list) else []


def _renumbered(value: Any, numbers: dict[int, int]) -> Any:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            return {"$ref": f"#/{numbers[int(value['$ref'][2:])]}"}
        return {key: _renumbered(item, numbers) for key, item in value.items()
                if key != "description" or isinstance(item, dict)}
    return [_renumbered(item, numbers) for item in value] if isinstance(value, list) else value


def main(folder: Path) -> None:
    for name, kept in KEPT.items():
        entries = pruned(json.loads((folder / name).read_text()), kept)
        lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
        (HERE / name).write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
