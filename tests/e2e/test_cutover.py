"""The cutover on real servers: a source that is written while it is read ends in an equal copy, whatever is stamped
when; the log is read again where that is asked for, and only there; old groups go, and nothing else does.

The tests share one environment and go on from one another in the order of this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.brokers.server import wait_for
from tests.e2e.stage import Result, Stage, staged
from tests.support.postgres import PostgresServer
from tests.support.shop import LEDGER_TOPIC, ORDER_TOPIC, Shop

PROVEN = ("--exclude", "smoke.*")
"""Events of a smoke test are no part of the shop."""


@dataclass
class Scene:
    stage: Stage
    shop: Shop

    @property
    def broker(self) -> Any:
        return self.stage._target().broker

    def apply(self, *more: str) -> Any:
        planned = self.stage.plan("--out", "plan.json", *PROVEN, *more)
        assert planned.code in (0, 2), planned.failures
        return self.stage.run("apply", "plan.json", "--json")

    def cutover(self) -> dict[str, Any]:
        result = self.stage.run("cutover", "status", self.stage.name, "--json")
        assert result.code == 0, result
        return dict(result.event("Cutover")[0])

    def drained(self) -> bool:
        """Whether the group has committed all that the log holds."""
        broker = self.broker
        [(group,)] = self.stage.query("SELECT consumer_group FROM bo.cutovers ORDER BY id DESC LIMIT 1")
        ends = {**broker.latest_offsets(LEDGER_TOPIC), **broker.latest_offsets(ORDER_TOPIC)}
        return bool(broker.committed(group, [LEDGER_TOPIC, ORDER_TOPIC]) == ends)

    def copy(self) -> dict[str, Any]:
        """What the store holds, in the columns of the source."""
        names = {"orders": ("payment_orders", "order_id, user_id, merchant_name, amount, status, created_at, "
                            "updated_at, version"),
                 "ledger": ("ledger_entries", "tx_id, wallet_id, entry_type, amount, amount_signed, related_id, "
                            "related_type, event_time, created_at, updated_at, version")}
        return {table: self.stage.query(f"SELECT {columns} FROM bo.{name} ORDER BY 1")  # noqa: S608
                for table, (name, columns) in names.items()}

    def assert_equal(self) -> None:
        """The copy is the truth, row for row."""
        copy, truth = self.copy(), self.shop.truth()
        for table in truth:
            missing = set(truth[table]) - set(copy[table])
            assert not missing, f"{len(missing)} of {len(truth[table])} {table}, such as {sorted(missing)[:3]}"
            assert copy[table] == truth[table]


def blocked(result: Result) -> set[str]:
    """The codes of what guardrails refuse in a plan."""
    return {v["diagnostic"]["code"] for v in result.plan["verdicts"] if v["outcome"] == "block"}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A shop that was open for long, and an environment with its servers alone."""
    with PostgresServer.started() as server:
        database = server.database()
        shop = Shop(database)
        shop.fill(3000)
        source = {"host": "127.0.0.1", "port": database.port, "database": database.name, "user": "postgres",
                  "password": "shop", "orders_table": "shop.orders", "ledger_table": "shop.ledger",
                  "sslmode": "disable"}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SHOP_PASSWORD", database.passwords["postgres"])
            with staged(tmp_path_factory.mktemp("cutover"), owner="cut",
                        secrets={"shop": {"from_env": "SHOP_PASSWORD"}}, cutover={"at": "auto", "skew": "5m"},
                        backfill={"source": {"postgres": source}, "chunk_rows": 100}) as stage:
                built = stage.plan("--out", "servers.json", "--only", "resource.*")
                assert built.code == 2, built.failures
                built = stage.run("apply", "servers.json", "--json")
                assert built.code == 0, built.failures
                yield Scene(stage, shop)


def test_a_source_that_is_written_while_it_is_read(scene: Scene) -> None:
    bootstrap = scene.broker.client_environment()["KAFKA_BOOTSTRAP"]
    with scene.shop.trading(bootstrap):
        # The shop has traded for a while before the cutover: what it published then is before the start offsets.
        wait_for(lambda: min(scene.broker.latest_offsets(LEDGER_TOPIC).values()) > 100)
        done = scene.apply()
        assert done.code == 0, done.failures
    wait_for(scene.drained)
    record = scene.cutover()
    at = datetime.fromisoformat(record["cutover"]["t_cutover"])
    begins = record["cutover"]["start_offsets"]
    assert min(min(p.values()) for p in begins.values()) > 0
    truth = scene.shop.truth()["ledger"]
    # What wrong designs lose is really there: the last second before T, the future, late ones, updates while reading.
    assert sum(at - timedelta(seconds=1) <= row[7] < at for row in truth) > 10
    assert sum(row[7] > at + timedelta(days=2) for row in truth) > 10
    assert record["backfill"]["started_at"] < record["backfill"]["finished_at"]
    read = [datetime.fromisoformat(record["backfill"][key]) for key in ("started_at", "finished_at")]
    assert sum(read[0] <= row[7] < read[1] for row in truth) > 10
    scene.assert_equal()
    assert {src for (src,) in scene.stage.query("SELECT DISTINCT src FROM bo.payment_orders")} == {"backfill", "stream"}


def test_the_record_says_what_it_was_taken_from(scene: Scene) -> None:
    seen = scene.cutover()
    record, taken = seen["cutover"], seen["cutover"]["taken"]
    assert (record["generation"], record["state"], record["skew"]) == (1, "syncing", 300)
    assert abs(taken["broker_ahead_s"]) < 60 and taken["retention_s"] == 72 * 3600
    assert record["snapshot"]["kind"] == "postgres" and record["snapshot"]["snapshot"].count(":") == 2
    assert seen["backfill"]["state"] == "done" and seen["backfill"]["rows_read"] >= 9000
    assert (seen["group"]["state"], seen["group"]["members"]) == ("stable", 1)
    for place in seen["partitions"]:
        assert place["log_start"] <= place["start"] <= place["committed"] == place["end"] and place["replayable"]
        left = datetime.fromisoformat(place["replay_until"]) - datetime.fromisoformat(record["t_cutover"])
        assert left == timedelta(days=3)
    text = scene.stage.run("cutover", "status", scene.stage.name)
    assert text.code == 0 and text.err == "" and record["group"] in text.out and f"{LEDGER_TOPIC}/1" in text.out


def test_the_timeline_is_drawn(scene: Scene) -> None:
    text = scene.stage.run("cutover", "timeline", scene.stage.name)
    assert text.code == 0
    lines = [line for line in text.out.splitlines() if line[:4].isdigit() and line[4] == "-"]
    assert [line.split()[0] for line in lines] == sorted(line.split()[0] for line in lines)
    t_line = next(i for i, line in enumerate(lines) if "T: the start offsets" in line)
    reads = next(i for i, line in enumerate(lines) if "reads its source" in line)
    assert t_line < reads, "the source is read after the cutover is taken"
    assert lines[t_line].count("█") == 2, "both sides cover what follows T"
    assert lines[reads].count("█") == 1, "what is published after the reading is the stream's alone"
    drawn = scene.stage.run("cutover", "timeline", scene.stage.name, "--format", "svg")
    root = ElementTree.fromstring(drawn.out)
    bars = [e.get("class") for e in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert {"backfill", "stream", "log"} <= set(bars)


def test_the_log_is_read_again_and_nothing_changes(scene: Scene) -> None:
    before, group = scene.stage.digest(), scene.cutover()["cutover"]["group"]
    since = scene.cutover()["cutover"]["t_cutover"]
    behind = sum(p["end"] - p["start"] for p in scene.cutover()["partitions"])
    seen = scene.stage.plan("--reprocess", since, *PROVEN, "--out", "again.json")
    assert seen.code == 2, seen.failures
    assert seen.actions == {"reprocess.offsets": "run", "app.consumer": "update", "reprocess.replay": "run"}
    details = seen.change("reprocess.offsets")["details"]
    assert details["group"] == group and behind <= details["records"] and len(details["replays"]) == 4
    assert seen.change("reprocess.replay")["expected_s"] is not None, "the consumer has measured its own pace"
    done = scene.stage.run("apply", "again.json", "--json")
    assert done.code == 0, done.failures
    [read] = [e["result"]["read"] for e in done.event("StepSucceeded") if e["address"] == "reprocess.replay"]
    assert read >= details["records"] > 0
    counted = "SELECT sum(duplicate + stale) FROM bo.stream_progress"
    wait_for(lambda: scene.stage.query(counted)[0][0] >= details["records"])
    assert scene.stage.digest() == before
    again = scene.cutover()
    assert (again["cutover"]["group"], again["cutover"]["generation"]) == (group, 1)
    assert [r["asked"]["at"] for r in again["reprocessings"]] == [since]
    assert scene.stage.plan(*PROVEN).actions == {}


def test_an_offset_for_each_partition(scene: Scene) -> None:
    [place] = [p for p in scene.cutover()["partitions"] if (p["topic"], p["partition"]) == (ORDER_TOPIC, 0)]
    before = scene.stage.digest()
    asked = f"{ORDER_TOPIC}:0={place['end'] - 7}"
    done = scene.apply("--reprocess", asked)
    assert done.code == 0, done.failures
    assert {e["address"]: e["result"].get("read") for e in done.event("StepSucceeded")}["reprocess.replay"] == 7
    assert scene.stage.digest() == before


def test_what_would_leave_records_unread_is_refused(scene: Scene) -> None:
    [place] = [p for p in scene.cutover()["partitions"] if (p["topic"], p["partition"]) == (ORDER_TOPIC, 0)]
    forward = scene.stage.plan("--reprocess", f"{ORDER_TOPIC}:0={place['end'] + 1}", *PROVEN)
    # Stopped, and not started again.
    half = scene.stage.plan("--reprocess", f"{ORDER_TOPIC}:0={place['end'] - 1}", "--only", "reprocess.offsets")
    for refused, code in ((forward, "reprocess-skips"), (half, "reprocess-half")):
        assert (refused.code, blocked(refused)) == (3, {code})
    running = scene.stage.status()["apps"]
    assert [a["running"] for a in running if a["name"] == "consumer"] == [1]


def test_a_fixed_t_of_the_past_takes_a_new_group(scene: Scene) -> None:
    before, now = scene.stage.digest(), datetime.now(UTC)
    scene.stage.write(cutover={"at": (now + timedelta(hours=9)).isoformat()})
    ahead = scene.stage.plan(*PROVEN)
    assert ahead.code == 3
    assert blocked(ahead) == {"cutover-in-future"}
    fixed = datetime.fromisoformat(scene.cutover()["cutover"]["t_cutover"]).replace(microsecond=0)
    scene.stage.write(cutover={"at": fixed.isoformat(), "skew": "1s"})
    with scene.shop.trading(scene.broker.client_environment()["KAFKA_BOOTSTRAP"]):
        done = scene.apply()
        assert done.code == 0, done.failures
    wait_for(scene.drained)
    seen = scene.cutover()
    assert seen["cutover"]["generation"] == 2
    assert datetime.fromisoformat(seen["owned_until"]) == fixed + timedelta(seconds=1)
    assert scene.stage.digest() != before
    scene.assert_equal()


def test_a_source_whose_clock_is_off_is_refused_before_it_is_read(scene: Scene) -> None:
    with scene.shop.connect() as source:
        # A server whose clock is ten minutes ahead of the broker's.
        source.execute("CREATE SCHEMA ahead; CREATE FUNCTION ahead.clock_timestamp() RETURNS timestamptz "
                       "RETURN pg_catalog.clock_timestamp() + '10 min'::interval")
        source.execute("ALTER ROLE postgres SET search_path = ahead, pg_catalog, public")
    scene.stage.write(cutover={"at": "auto", "skew": "5m"})
    refused = scene.apply()
    assert (refused.code, refused.codes) == (3, {"clock-skew"})
    assert scene.stage.query("SELECT coalesce(sum(rows_read), 0) FROM bo.backfill_runs r JOIN bo.cutovers c "
                             "ON c.id = r.cutover_id WHERE c.generation = 3") == [(0,)]
    with scene.shop.connect() as source:
        source.execute("ALTER ROLE postgres RESET search_path")
    done = scene.apply()
    assert done.code == 0, done.failures
    wait_for(scene.drained)
    assert scene.cutover()["cutover"]["generation"] == 3, "the cutover that was recorded is gone on with"
    scene.assert_equal()


def test_old_groups_go_and_no_others(scene: Scene) -> None:
    name, prefix = scene.stage.name, f"bo-sync-{scene.stage.name}-v"

    def groups(*more: str) -> Any:
        return scene.stage.run("cutover", "groups", name, "--json", *more)

    found = {g["name"]: g for g in groups().event("Group")}
    assert {n: g["whose"] for n, g in found.items()} == {
        f"{prefix}1": "old", f"{prefix}2": "old", f"{prefix}3": "active"}
    assert found[f"{prefix}3"]["members"] == 1 and found[f"{prefix}1"]["members"] == 0
    refused = groups(f"{prefix}1", f"{prefix}3", "--remove", "--auto-approve")
    assert (refused.code, refused.codes) == (3, {"group-active"})
    asked = groups("--remove")
    assert (asked.code, asked.codes) == (1, {"no-terminal"})
    scene.broker.commit("bo-sync-dev-lee-v1", {(ORDER_TOPIC, 0): 0})
    foreign = groups("bo-sync-dev-lee-v1", "--remove", "--auto-approve")
    assert (foreign.code, foreign.codes) == (3, {"group-foreign"})
    assert len(scene.broker.groups("bo-sync-")) == 4, "what was refused has removed nothing"
    done = groups("--remove", "--auto-approve")
    assert [e["name"] for e in done.event("GroupRemoved")] == [f"{prefix}1", f"{prefix}2"]
    assert scene.broker.groups("bo-sync-") == [f"{prefix}3", "bo-sync-dev-lee-v1"]
    scene.broker.remove_group("bo-sync-dev-lee-v1")


def test_a_backfill_that_outruns_the_retention_stops_by_its_own_rate(scene: Scene) -> None:
    """Last here: it leaves the shop for a source that is far too large for what the hubs keep."""
    hub = {"retention": "63m"}
    scene.stage.write(backfill={"source": {"synthetic": {"payments": 10_000_000}}, "chunk_rows": 5000},
                      hubs={"ledger": hub, "order": hub}, cutover={"skew": "5s", "recovery_buffer": "60m"})
    # Another T, so that another source is loaded under another group.
    scene.stage.write(cutover={"at": (datetime.now(UTC) - timedelta(seconds=1)).isoformat()})
    foreseen = scene.stage.plan(*PROVEN)
    assert (foreseen.code, blocked(foreseen)) == (3, {"retention"}), "by the rate of the runs before"
    # Without a history nobody foresees it.
    (scene.stage.state / "journal" / f"{scene.stage.name}.jsonl").unlink()
    stopped = scene.apply()
    assert (stopped.code, stopped.codes) == (3, {"retention-outrun"}), stopped.failures
    [failed] = [e["diagnostic"] for e in stopped.event("StepFailed")]
    assert "Raise hubs.*.retention" in failed["mend"] and failed["rule"] == "P6.5"
    assert not scene.stage.processes(TXPLAN_JOB="backfill.source")
    [(state, done)] = scene.stage.query(
        "SELECT state, rows_read FROM bo.backfill_runs ORDER BY started_at DESC LIMIT 1")
    assert state == "running" and done > 0, "what it loaded is kept"

    again = scene.stage.plan(*PROVEN)
    assert again.code == 3
    assert blocked(again) == {"retention"}

    scene.stage.write(hubs={"ledger": {"retention": "3d"}, "order": {"retention": "3d"}})
    raised = scene.stage.plan(*PROVEN)
    assert raised.code == 2, raised.failures
    assert "cutover.stream" not in raised.actions and raised.actions["backfill.source"] == "run"
    assert raised.change("backfill.source")["details"]["rows_read"] == done
    assert raised.change("backfill.source")["expected_s"] > 0
