"""Every difference is told to the reader."""

from __future__ import annotations

from importlib.resources import files

from engine.providers.local.brokers import ENGINES
from tests.brokers.differences import DIFFERENCES


def test_the_table_names_every_difference() -> None:
    text = files("engine.providers.local.brokers").joinpath("README.md").read_text()
    header = next(line for line in text.splitlines() if line.startswith("| clause"))
    columns = [cell.strip() for cell in header.split("|")]
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if line.startswith("|")]
    for engine, clause in DIFFERENCES:
        [row] = [row for row in rows if f"`{clause}`" in row[1]]
        assert engine in ENGINES and "**" in row[columns.index(engine)]
