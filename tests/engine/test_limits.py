"""The manifest's limits reach the API's process, and a change of one is a new revision."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from engine.kinds import wiring
from engine.kinds.base import discover
from engine.load import load_manifest
from engine.model.step import Step
from engine.planning.graph import compile_graph
from streamapp.settings import Limits, api_settings

HEAD = "project: txlookup\nteam: team4\nowner: kim\nenv: dev\nttl: 2099-12-31\ntarget: local\nprofile: cloud-test\n"
LOGIN = {"PGHOST": "h", "PGDATABASE": "d", "PGUSER": "u", "PGPASSWORD": "p", "WEB_PORT": "1",
         "API_CREDENTIALS": '{"kim": ["a", "b"]}'}  # fmt: skip


def api(tmp_path: Path, extra: str = "") -> Step:
    path = tmp_path / "m.yaml"
    path.write_text(HEAD + extra)
    manifest, found = load_manifest(path, today=date(2026, 1, 1))
    assert manifest is not None, found
    return compile_graph(manifest, discover()).steps[wiring.API]


def limits(step: Step) -> Limits:
    """As the service reads what the engine tells it."""
    environment = step.spec["environment"]
    assert isinstance(environment, dict)
    settings = api_settings({**LOGIN, **environment})
    assert settings.credentials == {"kim": ("a", "b")}
    return settings.limits


def test_both_sides_have_the_same_defaults(tmp_path: Path) -> None:
    assert limits(api(tmp_path)) == api_settings(LOGIN).limits


def test_what_the_manifest_says_is_what_the_service_does(tmp_path: Path) -> None:
    values = {"rate_per_s": 41, "burst": 42, "url_bytes": 443, "header_bytes": 444, "body_bytes": 45, "request_s": 46,
              "connections": 47}  # fmt: skip
    changed = api(tmp_path, f"api: {{limits: {values}}}\n".replace("'", ""))
    assert limits(changed) == Limits(**values)
    assert changed.spec["revision"] != api(tmp_path).spec["revision"]
