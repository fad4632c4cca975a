"""The wheel, installed away from its clone: schemas, profiles, migrations and the sample travel with it."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.stage import SMALL, Stage, staged

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with the wheel; its dependencies are those that are installed here already."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    [wheel] = folder.glob("txplan-*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index",
        "--disable-pip-version-check", str(wheel), cwd=folder)
    place = Path(run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    # A path in a .pth file adds what lies there and follows no .pth file in it, so this clone stays out of sight.
    (place / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv" / "bin"


@pytest.fixture(scope="module")
def away(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An empty folder, where the wheel's command is at hand."""
    with staged(tmp_path_factory.mktemp("empty"), command=str(installed / "txplan")) as stage:
        stage.manifest.unlink()
        yield stage


def test_the_code_is_the_wheels(installed: Path, away: Stage) -> None:
    found = run(str(installed / "python"), "-c", "import engine, streamapp; print(engine.__file__, streamapp.__file__)",
                cwd=away.folder)
    assert all(Path(path).is_relative_to(installed.parent) for path in found.split())


def test_a_first_manifest_is_good_at_once(away: Stage) -> None:
    made = away.run("init", "--owner", "eva", "--out", str(away.manifest))
    assert made.code == 0, made.err
    text = away.manifest.read_text()
    again = away.run("init", "--owner", "eva", "--out", str(away.manifest))
    assert again.code == 1 and away.manifest.read_text() == text
    valid = away.run("validate", str(away.manifest), "--json")
    assert (valid.code, valid.event("Valid")[0]["environment"]) == (0, "dev-eva")
    assert json.loads(away.run("schema").out)["$schema"].endswith("2020-12/schema")
    assert json.loads(away.run("schema", "plan").out)["title"]
    assert "<svg" in away.run("graph", str(away.manifest), "--format", "svg").out
    planned = away.plan()
    assert planned.code == 2 and set(planned.actions.values()) == {"create", "run"}


def test_it_walks_the_road(away: Stage) -> None:
    small = {key: SMALL[key] for key in ("backfill", "load", "slo")}
    away.manifest.write_text(away.manifest.read_text() + yaml.safe_dump(small))
    done = away.apply()
    assert done.code == 0, done.failures
    assert away.plan().code == 0
    assert str(ROOT) not in json.dumps(away.plan().plan)
    gone = away.destroy()
    assert gone.code == 0, gone.failures
    away.assert_gone()
