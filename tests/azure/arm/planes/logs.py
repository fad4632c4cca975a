"""A workspace's query API: console logs of apps and jobs, asked in a small part of KQL.

A table, then `where` (==, !=, startswith, contains, has, joined by `and`), `order by`/`sort by`, `project`, `take`,
`count`. Anything else is the service's SyntaxError, so that no query passes that was not looked at.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

from tests.azure.arm.errors import ArmError

if TYPE_CHECKING:
    from tests.azure.arm.planes.containers import Container

TABLES = {"ContainerAppConsoleLogs_CL": (
    "TimeGenerated", "ContainerAppName_s", "ContainerJobName_s", "RevisionName_s", "ContainerGroupName_s",
    "ContainerName_s", "Stream_s", "Log_s")}
_CONDITION = re.compile(r"^(\w+)\s*(==|!=|startswith|contains|has)\s*(['\"])(.*)\3$")
Row = dict[str, str]


class ConsoleLogs:
    """What the containers of environments wrote, by the workspace that their environment names; the containers that are
    gone too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: list[tuple[str, Row, Container]] = []
        self._kept: list[tuple[str, Row]] = []

    def watch(self, customer: str, container: Container, **columns: str) -> None:
        """Keep what a container writes in the workspace of that customer id."""
        row = {"ContainerAppName_s": "", "ContainerJobName_s": "", "RevisionName_s": "", "Stream_s": "stdout",
               "ContainerGroupName_s": container.name, "ContainerName_s": container.container["name"], **columns}
        with self._lock:
            self._live.append((customer, row, container))
        container.before_forgetting = lambda: self._keep(container)

    def _keep(self, container: Container) -> None:
        with self._lock:
            for entry in [e for e in self._live if e[2] is container]:
                self._live.remove(entry)
                self._kept += [(entry[0], row) for row in self._rows(*entry)]

    @staticmethod
    def _rows(customer: str, row: Row, container: Container) -> list[Row]:
        lines = [line.decode(errors="replace").rstrip("\n") for line in container.lines(lambda: False)]
        return [row | {"TimeGenerated": line.split(" ", 1)[0], "Log_s": line.split(" ", 3)[3]} for line in lines]

    def query(self, customer: str, kql: str) -> dict[str, Any]:
        """The answer of the query API."""
        table, *steps = [step.strip() for step in kql.split("\n|")] if "\n|" in kql else [
            step.strip() for step in kql.split("|")]
        if table not in TABLES:
            raise _syntax(f"Failed to resolve table or column expression named '{table}'")
        with self._lock:
            rows = [row for at, row in self._kept if at == customer]
            for entry in self._live:
                if entry[0] == customer:
                    rows += self._rows(*entry)
        columns = list(TABLES[table])
        for step in steps:
            rows, columns = _apply(step, rows, columns)
        return {"tables": [{"name": "PrimaryResult", "columns": [
            {"name": name, "type": "datetime" if name == "TimeGenerated" else "string"} for name in columns],
            "rows": [[row.get(name, "") for name in columns] for row in rows]}]}


def _apply(step: str, rows: list[Row], columns: list[str]) -> tuple[list[Row], list[str]]:
    word, _, rest = step.partition(" ")
    match word:
        case "where":
            for condition in re.split(r"\s+and\s+", rest.strip()):
                rows = [row for row in rows if _holds(condition, row, columns)]
            return rows, columns
        case "order" | "sort":
            name, _, way = rest.removeprefix("by ").strip().partition(" ")
            return sorted(rows, key=lambda row: row[_column(name, columns)], reverse=way != "asc"), columns
        case "project":
            names = [_column(name.strip(), columns) for name in rest.split(",")]
            return rows, names
        case "take" | "limit":
            return rows[:int(rest)], columns
        case "count":
            return [{"Count": str(len(rows))}], ["Count"]
    raise _syntax(f"'{word}' is not understood here")


def _holds(condition: str, row: Row, columns: list[str]) -> bool:
    found = _CONDITION.match(condition.strip())
    if found is None:
        raise _syntax(f"'{condition}' is not understood here")
    value, wanted = row[_column(found[1], columns)], found[4]
    match found[2]:
        case "==":
            return value == wanted
        case "!=":
            return value != wanted
        case "startswith":
            return value.lower().startswith(wanted.lower())
    return wanted.lower() in value.lower()


def _column(name: str, columns: list[str]) -> str:
    if name not in columns:
        raise _syntax(f"Failed to resolve scalar expression named '{name}'")
    return name


def _syntax(message: str) -> ArmError:
    return ArmError(400, "BadArgumentError", message, details=[("SYN0002", "", message)])
