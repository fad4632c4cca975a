"""An environment's life on real servers: made by one of two racing applies, extended, cleared of an orphan, recreated
through two kills, destroyed half-way and picked up again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.stage import Result, Stage, staged, wait_for

NOTE = "# agreed with the team on Friday"


@pytest.fixture(scope="module")
def alive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An environment that the first test brings up, and the last one leaves half destroyed."""
    with staged(tmp_path_factory.mktemp("alive")) as stage:
        yield stage


def killed_at(stage: Stage, address: str, action: str, *command: str) -> None:
    """Run the command one step at a time, and kill it when this step starts."""
    process = stage.start(*command, "--json", "--parallelism", "1")
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        event = json.loads(line)
        if (event.get("event"), event.get("address"), event.get("action")) == ("StepStarted", address, action):
            process.kill()
            break
    out, err = process.communicate(timeout=60)
    stage.look()
    assert process.returncode == -9, ("".join(said[-3:]), out, err)


def listed(stage: Stage) -> dict[str, object]:
    [found] = stage.run("list", "--json").event("Environment")
    return found


def test_of_two_applies_in_the_same_instant_one_runs(alive: Stage) -> None:
    racing = [alive.start("apply", str(alive.manifest), "--auto-approve", "--json") for _ in range(2)]
    ends = {p.pid: (p.communicate(timeout=120), p.returncode) for p in racing}
    alive.look()
    [winner] = [pid for pid, (_, code) in ends.items() if code == 0]
    [((out, err), code)] = [end for pid, end in ends.items() if pid != winner]
    loser = Result(code, out, err)
    assert (code, loser.codes, loser.event("StepStarted")) == (6, {"locked"}, []), loser.failures
    assert f"pid {winner}" in loser.event("Diagnostic")[0]["summary"]


def test_it_is_listed_as_it_is(alive: Stage) -> None:
    found = listed(alive)
    assert (found["name"], found["owner"], found["profile"], found["target"]) == (
        alive.name, "eva", "cloud-test", "local")
    assert (found["serves"], found["health"], found["orphans"], found["stranger"], found["expired"]) == (
        True, "serves", [], "", False)
    assert found["manifest"] == str(alive.manifest) and found["ttl"] == "2099-12-31"
    assert alive.name in alive.run("list").out


def test_an_orphan_is_told_and_goes_by_a_reviewed_plan(alive: Stage) -> None:
    other, pruning = alive.folder / "other.json", alive.folder / "pruning.json"
    alive.write(hubs={"order": {"name": "renamed.order"}})
    alive.plan("--only", "resource.hub-order", "--out", str(other))
    assert alive.run("apply", str(other), "--json").code == 0
    alive.write(hubs={"order": {"name": "payment.order.upserted"}})
    assert listed(alive)["orphans"] == ["hub renamed.order"]
    told = alive.plan()
    assert (told.code, [d["code"] for d in told.plan["diagnostics"]]) == (0, ["orphan"])
    refused = alive.plan("--prune")
    assert (refused.code, refused.blocked) == (3, {"no-way-back"})
    seen = alive.plan("--prune", "--override", "road-back", "--reason", "never read", "--out", str(pruning))
    assert seen.actions == {"resource.hub:renamed.order": "delete"}
    done = alive.run("apply", str(pruning), "--json")
    assert done.code == 0, done.failures
    assert listed(alive)["orphans"] == [] and alive.plan().code == 0


def test_an_extension_is_the_manifests_and_then_the_tags(alive: Stage) -> None:
    alive.values["ttl"] = "2099-06-01"
    alive.write()
    text = alive.manifest.read_text().replace("'2099-06-01'", f'"2099-06-01"  {NOTE}')
    alive.manifest.write_text(text)
    extended = alive.run("extend", str(alive.manifest), "--days", "14", "--json")
    assert extended.event("Extended")[0]["after"] == "2099-06-15"
    assert alive.manifest.read_text() == text.replace("2099-06-01", "2099-06-15")
    assert set(extended.actions.values()) == {"update"} and "resource.group" in extended.actions
    assert listed(alive)["ttl"] == "2099-12-31", "not before it is applied"
    assert alive.run("apply", "--json").code == 0
    assert listed(alive)["ttl"] == "2099-06-15" and alive.plan().code == 0
    alive.values["ttl"] = "2099-06-15"


def test_a_recreation_goes_on_through_two_kills_and_takes_the_next_generation(alive: Stage) -> None:
    before, token = alive.digest(), alive.secrets()["api-token"]
    assert alive.status()["cutover"]["generation"] == 1
    reviewed = alive.folder / "recreate.json"
    plan = alive.plan("--recreate", "--out", str(reviewed)).plan
    assert [s["address"] for s in plan["road_back"]["stores"] if s["seconds"] is not None] != []
    assert {s["missing"] for s in plan["road_back"]["stores"]} == {""}
    assert alive.run("apply", str(reviewed), "--json").codes == {"no-terminal"}
    go_on = ("apply", str(reviewed), "--confirm", alive.name)
    killed_at(alive, "resource.postgres", "delete", *go_on)
    killed_at(alive, "resource.database", "create", *go_on)
    done = alive.run(*go_on, "--json")
    assert done.code == 0, done.failures
    assert {e["action"] for e in done.event("StepStarted")} <= {"create", "run"}, "nothing is destroyed twice"
    cutover = alive.status()["cutover"]
    assert (cutover["generation"], cutover["group"]) == (2, f"bo-sync-{alive.name}-v2")
    assert alive.digest() == before and alive.secrets()["api-token"] != token
    assert alive.plan().code == 0
    again = alive.run(*go_on, "--json")
    assert (again.code, again.codes) == (5, {"plan-applied"})


def test_a_torn_journal_is_said(alive: Stage) -> None:
    journal = alive.state / "journal" / f"{alive.name}.jsonl"
    with journal.open("a") as file:
        file.write('{"event": "StepSta')
    last = alive.run("history", alive.name, "--json").event("Run")[-1]["run"]
    for arguments in ((), (last,)):
        assert "1 torn line" in alive.run("history", alive.name, *arguments).err
        assert alive.run("history", alive.name, *arguments, "--json").event("TornLines")[0]["lines"] == 1


def test_after_a_destroy_that_was_killed_apply_goes_on(alive: Stage) -> None:
    killed_at(alive, "resource.postgres", "delete", "destroy", str(alive.manifest), "--confirm", alive.name)
    half = listed(alive)
    assert half["serves"] is False and half["expired"] is False
    back = alive.folder / "back.json"
    seen = alive.plan("--only", "migrate.schema", "--out", str(back))
    assert {"resource.database", "migrate.schema"} <= set(seen.actions)
    done = alive.run("apply", str(back), "--json")
    assert done.code == 0, done.failures
    assert alive.query("SELECT version_num FROM bo.alembic_version") != []
    wait_for(lambda: "half built" in str(listed(alive)["health"]))
