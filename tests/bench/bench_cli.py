"""The command line's start and its quick answers, beside a bare import of click.

Run: `python -m tests.bench.bench_cli [rounds]` (default 10). Every command runs in turn with the bare import, as whole
processes; the median of the pairs' ratios is shown. The plan is one of nothing live, in a folder of its own.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
TXPLAN = str(Path(sys.executable).with_name("txplan"))
MANIFEST = str(ROOT / "manifests" / "dev-kim.yaml")
BARE = [sys.executable, "-c", "import click"]
COMMANDS = {"txplan --help": ["--help"], "txplan validate dev-kim": ["validate", MANIFEST],
            "txplan graph dev-kim": ["graph", MANIFEST], "txplan plan dev-kim": ["plan", MANIFEST]}


def seconds(command: list[str], folder: str) -> float:
    begun = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=folder,
                   env={**os.environ, "TXPLAN_STATE_DIR": f"{folder}/.txplan"})
    return time.perf_counter() - begun


def main(rounds: int) -> None:
    table = Table("command", "median s", "import click, median s", "ratio")
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in COMMANDS.items():
            pairs = [(seconds([TXPLAN, *arguments], folder), seconds(BARE, folder)) for _ in range(rounds + 1)][1:]
            ours, bare = (statistics.median(side) for side in zip(*pairs, strict=True))
            table.add_row(name, f"{ours:.3f}", f"{bare:.3f}", f"{statistics.median(a / b for a, b in pairs):.1f}")
    Console().print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
