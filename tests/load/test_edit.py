"""The ttl of a manifest's text is replaced, and nothing else of it."""

from __future__ import annotations

import stat
from datetime import date
from pathlib import Path

import pytest

from engine.load import load_manifest
from engine.load.edit import with_ttl, write_manifest
from engine.model.diagnostic import Refused
from engine.model.manifest import Manifest

NEW, TODAY = date(2027, 1, 31), date(2026, 1, 1)
TEXT = "project: txlookup\nteam: team4\nowner: kim\nenv: dev\n{ttl}\ntarget: local\nprofile: cloud-test\n"


def manifest_at(path: Path, text: str) -> Manifest:
    path.write_bytes(text.encode())
    manifest, found = load_manifest(path, today=TODAY)
    assert manifest is not None, found
    return manifest


@pytest.mark.parametrize(("before", "after"), [
    ("ttl: 2026-12-31", "ttl: 2027-01-31"),
    ("ttl:   '2026-12-31' # 2026-12-31 it was", "ttl:   '2027-01-31' # 2026-12-31 it was"),
    ('"ttl": "2026-12-31"', '"ttl": "2027-01-31"'),
    ("# ttl: 2026-12-31\nttl:\n  2026-12-31", "# ttl: 2026-12-31\nttl:\n  2027-01-31"),
    ("ttl: 2026-12-31\r", "ttl: 2027-01-31\r"), ("# é\nttl: 2026-12-31", "# é\nttl: 2027-01-31")])
def test_only_the_day_changes(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "manifest.yaml"
    text = TEXT.format(ttl=before)
    manifest = manifest_at(path, text)
    path.chmod(0o640)
    changed = with_ttl(text, manifest, NEW)
    assert changed == TEXT.format(ttl=after)
    write_manifest(path, changed, manifest, NEW, today=TODAY)
    assert path.read_bytes().decode() == changed
    assert stat.S_IMODE(path.stat().st_mode) == 0o640 and [p.name for p in tmp_path.iterdir()] == ["manifest.yaml"]


def test_a_day_that_stands_elsewhere_is_left_alone(tmp_path: Path) -> None:
    text = TEXT.format(ttl="ttl: &day 2026-12-31\ntags: {reviewed: *day}")
    manifest = manifest_at(tmp_path / "manifest.yaml", text)
    with pytest.raises(Refused) as refused:
        write_manifest(tmp_path / "manifest.yaml", text.replace("2026-12-31", "2027-01-31"), manifest, NEW, today=TODAY)
    assert refused.value.diagnostics[0].code == "edit-failed", "a tag would change with it"
    assert (tmp_path / "manifest.yaml").read_text() == text
    assert [p.name for p in tmp_path.iterdir()] == ["manifest.yaml"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    text = TEXT.format(ttl="ttl: 2026-12-31")
    (tmp_path / "real").mkdir()
    manifest_at(tmp_path / "real" / "m.yaml", text)
    link = tmp_path / "manifest.yaml"
    link.symlink_to(tmp_path / "real" / "m.yaml")
    manifest, _ = load_manifest(link, today=TODAY)
    assert manifest is not None
    write_manifest(link, with_ttl(text, manifest, NEW), manifest, NEW, today=TODAY)
    assert link.is_symlink() and "2027-01-31" in (tmp_path / "real" / "m.yaml").read_text()
