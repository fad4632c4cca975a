"""The CI recipes: each txplan command in them exists with those options, and the step that plans runs as it stands."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from engine.cli import cli
from tests.e2e.stage import Stage

RECIPES = sorted((Path(__file__).parents[2] / "docs" / "recipes").glob("*.yml"))


def _scripts(node: Any) -> Iterator[str]:
    """Every shell text in a recipe, in order."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("run", "bash", "script") and isinstance(value, str):
                yield value
            else:
                yield from _scripts(value)
    elif isinstance(node, list):
        for item in node:
            yield from _scripts(item)


def _commands(script: str) -> Iterator[list[str]]:
    """The arguments of each txplan command in a shell text."""
    for line in script.replace("\\\n", " ").splitlines():
        found = re.match(r"\s*txplan (.*)", line)
        if found:
            words = shlex.split(found[1], comments=True)
            end = next((i for i, w in enumerate(words) if w in (">", ">>", "|", "||", "&&")), len(words))
            yield words[:end]


def _parse(arguments: list[str]) -> None:
    """Parse as the command line does, without running anything."""
    top = click.Context(cli)
    _, command, rest = cli.resolve_command(top, arguments)
    assert command is not None
    command.make_context(arguments[0], rest, parent=top)


def test_there_are_recipes() -> None:
    assert {p.name for p in RECIPES} == {"azure-pipelines.yml", "github-actions.yml"}
    with pytest.raises(click.UsageError):
        _parse(["plan", "m.yaml", "--no-such-option"])


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda p: p.stem)
def test_every_command_exists_with_its_options(recipe: Path) -> None:
    text = recipe.read_text(encoding="utf-8")
    commands = [c for script in _scripts(yaml.safe_load(text)) for c in _commands(script)]
    assert [c[0] for c in commands] == ["validate", "plan", "show", "apply"]
    assert len(commands) == len(re.findall(r"^\s+txplan ", text, flags=re.MULTILINE)), "none is overlooked"
    for command in commands:
        _parse(command)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda p: p.stem)
def test_the_step_that_plans_runs(recipe: Path, tmp_path: Path) -> None:
    stage = Stage(tmp_path, {}, tmp_path / "state")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").write_text(f'PATH="{Path(sys.executable).parent}:$PATH"\n')
    [script] = [s for s in _scripts(yaml.safe_load(recipe.read_text(encoding="utf-8"))) if "txplan plan" in s]
    output = tmp_path / "output"
    ran = subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False,
                         env={**stage.environment, "MANIFEST": str(stage.manifest), "GITHUB_OUTPUT": str(output)})
    assert ran.returncode == 0, ran.stderr
    said = output.read_text() if output.exists() else ran.stdout
    assert re.search(r"code(?:=|;isOutput=true\])2$", said, flags=re.MULTILINE)
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["environment"]["name"] == stage.name
    assert (tmp_path / "plan.md").read_text().startswith("### ")
    assert (tmp_path / "plan.html").read_text().startswith("<!doctype html>")
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["plans"], "planning touched nothing"
