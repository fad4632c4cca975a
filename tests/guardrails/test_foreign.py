"""What is somebody else's inside an environment: seen before the first deletion, on real servers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.model.verdict import Outcome
from engine.providers.local import strays
from engine.providers.local.files import write_json
from tests.local.environment import GROUP, SERVER, TAGS, Local, destroyed, open_local

from .judging import codes, planned


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    for local in destroyed(open_local(tmp_path_factory.mktemp("foreign") / "state")):
        local.make_database()
        local.apply("namespace", name="evh", tags=TAGS, engine="noida")
        while local.target.resources["namespace"].ready("evh"):
            pass
        local.apply("hub", name="ours", partitions=1, retention_hours=1, namespace="evh")
        yield local


def inside(local: Local, type_: str, name: str) -> list[tuple[str, str]]:
    found = local.target.resources[type_].foreign(name)
    assert found is not None
    return [(f.what, f.why) for f in found]


@contextmanager
def process(folder: Path, **variables: str) -> Iterator[int]:
    child = subprocess.Popen([sys.executable, "-c", "input()"], cwd=folder, env={**os.environ, **variables},
                             stdin=subprocess.PIPE)
    try:
        yield child.pid
    finally:
        child.kill()
        child.wait()


def test_its_own_parts_are_not_foreign(local: Local) -> None:
    assert [inside(local, t, n) for t, n in (("group", GROUP), ("postgres", SERVER), ("namespace", "evh"),
                                             ("hub", "ours"))] == [[], [], [], []]


def test_a_file(local: Local) -> None:
    for folder in {local.home.path, local.home.runtime}:
        path = folder / "notes.txt"
        path.write_text("mine")
        assert inside(local, "group", GROUP) == [(f"file {path}", "foreign")]
        path.unlink()
    assert inside(local, "group", GROUP) == []


def test_a_process(local: Local, tmp_path: Path) -> None:
    with process(local.home.path) as pid:
        [(what, why)] = inside(local, "group", GROUP)
        assert (what.split()[1], why) == (str(pid), "foreign")
    with process(tmp_path, **{strays.INSTANCE: local.home.instance}) as pid:
        [(what, _)] = inside(local, "group", GROUP)
        assert what.split()[1] == str(pid)
    assert inside(local, "group", GROUP) == []


def test_a_mark_of_the_platform_and_a_lock(local: Local) -> None:
    record = local.home.group()
    assert record is not None
    file = local.home.path / "group.json"
    for key, why in (("managed_by", "platform-managed"), ("locked", "locked")):
        write_json(file, record | {key: "somebody"})
        assert [w for _, w in inside(local, "group", GROUP)] == [why]
    write_json(file, record)
    assert inside(local, "group", GROUP) == []


def test_a_database_and_a_hub(local: Local) -> None:
    assert local.target.database is not None
    with local.target.database.connect("postgres", database="postgres") as admin:
        admin.autocommit = True
        admin.execute("CREATE DATABASE somebody")
        assert inside(local, "postgres", SERVER) == [("database somebody", "foreign")]
        admin.execute("DROP DATABASE somebody")
    local.apply("hub", name="theirs", partitions=1, retention_hours=1, namespace="evh")
    local.home.drop_record("hub", "theirs")
    assert inside(local, "namespace", "evh") == [("hub theirs", "foreign")]
    local.apply("hub", name="theirs", partitions=1, retention_hours=1, namespace="evh")
    assert inside(local, "namespace", "evh") == []


def test_not_one_deletion_while_it_is_there(tmp_path: Path) -> None:
    foreign = {"resource.group": {"notes": {"foreign": [{"what": "file /x/notes.txt", "why": "foreign"}]}}}
    assert codes(planned(tmp_path, foreign, destroy=True)) == {"foreign-inside"}
    assert codes(planned(tmp_path, destroy=True)) == set()
    assert codes(planned(tmp_path, foreign)) == set(), "nothing is deleted"
    unseen = {"resource.postgres": {"notes": {"foreign": None}}}
    assert codes(planned(tmp_path, unseen, destroy=True)) == set()
    assert codes(planned(tmp_path, unseen, destroy=True), Outcome.WARN) == {"unseen-inside"}
