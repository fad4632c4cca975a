"""A good manifest: its values, its profiles, its digest, and the first one that a user is given."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.assets import asset
from engine.load import first_manifest, load_manifest
from engine.load.profiles import packaged_profiles
from engine.model.manifest import FilesSource, Manifest, Secret, SyntheticSource

TODAY = date(2026, 11, 23)
HEAD = "project: txlookup\nteam: team4\nowner: kim\nenv: dev\nttl: 2026-12-31\ntarget: local\nprofile: cloud-test\n"


def load(path: Path, text: str | None = None) -> Manifest:
    if text is not None:
        path.write_text(text, "utf-8")
    manifest, found = load_manifest(path, today=TODAY)
    assert manifest is not None and not found, found
    return manifest


def test_the_profile_holds_the_policy() -> None:
    """P3.1 and the SLOs, as the packaged manifest gives them."""
    manifest = load(asset("manifests") / "dev-kim.yaml")
    assert manifest.environment == "dev-kim"
    assert [(hub.name, hub.partitions, hub.retention) for hub in manifest.hubs] == [
        ("ledger.entry.upserted", 2, timedelta(days=3)), ("payment.order.upserted", 2, timedelta(days=3))]
    assert (manifest.cutover.at, manifest.cutover.skew) == (None, timedelta(minutes=5))
    assert (manifest.slo.api_p95, manifest.slo.freshness_p95) == (timedelta(milliseconds=200), timedelta(seconds=5))
    assert (manifest.slo.error_rate, manifest.slo.dlq_new, manifest.slo.complete_pairs) == (0.02, 0, 0.999)
    assert {secret.name for secret in manifest.secrets} >= {
        "postgres-admin", "postgres-migrator", "postgres-consumer", "postgres-api", "api-token"}
    source = manifest.backfill.source
    assert isinstance(source, FilesSource)
    assert Path(source.orders).parent == asset("manifests") / "sample" / "backfill"


def test_every_packaged_profile_is_whole(tmp_path: Path) -> None:
    for profile in packaged_profiles():
        load(tmp_path / "e.yaml", HEAD.replace("cloud-test", profile))


def test_every_value_of_the_policy_can_be_set(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "o-1.csv").touch()
    (tmp_path / "data" / "l-1.csv").touch()
    manifest = load(tmp_path / "e.yaml", HEAD + """
names: {short: lk, env_short: dv}
tags: {cost: "4711"}
postgres: {version: 17, parameters: {fsync: false, max_connections: 50, work_mem: 8MB}}
hubs: {ledger: {name: l, partitions: 4, retention: 7d}, order: {partitions: 3}}
secrets: {api-token: {from_env: TOKEN}, postgres-api: {from_file: api.txt}}
cutover: {at: 2026-11-01T00:00:00Z, skew: 90s}
backfill: {source: {files: {orders: data/o-*.csv, ledger: data/l-*.csv}}, chunk_rows: 1000}
consumer: {replicas: 3}
load: {source: {synthetic: {payments: 10, seed: 3, late: 0.5}}, duration: 1m}
slo: {api_p95: 100ms}
""")
    assert (manifest.names.short, manifest.names.env_short) == ("lk", "dv")
    assert manifest.postgres.parameters == {"fsync": "off", "max_connections": "50", "work_mem": "8MB"}
    assert manifest.postgres.database == "txlookup"
    assert manifest.cutover.at == datetime(2026, 11, 1, tzinfo=UTC)
    assert manifest.backfill.source == FilesSource(f"{tmp_path}/data/o-*.csv", f"{tmp_path}/data/l-*.csv")
    assert manifest.load.source == SyntheticSource(10, 3, 0.5, 0, 0, 0)
    secrets = {secret.name: secret for secret in manifest.secrets}
    assert secrets["api-token"] == Secret("api-token", from_env="TOKEN")
    assert secrets["postgres-api"] == Secret("postgres-api", from_file=f"{tmp_path}/api.txt")
    assert manifest.where("cutover.skew").line == 14
    assert Path(manifest.where("cutover.recovery_buffer").file).name == "cloud-test.yaml"
    assert manifest.where("hubs.ledger.nothing") == manifest.where("hubs.ledger")


def test_profiles_extend_profiles(tmp_path: Path) -> None:
    below = tmp_path / "shared" / "[team]"
    (below / "data").mkdir(parents=True)
    (below / "data" / "o.csv").touch()
    (below / "data" / "l.csv").touch()
    (below / "base.yaml").write_text(
        "extends: cloud-test\nconsumer: {replicas: 2, batch_records: 7}\napi: {replicas: 4}\n"
        "backfill: {source: {files: {orders: data/*o.csv, ledger: data/l.csv}}}\n")
    (tmp_path / "mine.yaml").write_text("extends: './shared/[team]/base.yaml'\nconsumer: {batch_records: 9}\n")
    manifest = load(tmp_path / "e.yaml", HEAD.replace("cloud-test", "./mine.yaml") + "api: {replicas: 5}\n")
    assert (manifest.consumer.replicas, manifest.consumer.batch_records, manifest.api.replicas) == (2, 9, 5)
    assert [Path(manifest.where(path).file).name for path in (
        "consumer.replicas", "consumer.batch_records", "api.replicas", "slo.api_p95")] == [
        "base.yaml", "mine.yaml", "e.yaml", "cloud-test.yaml"]
    source = manifest.backfill.source
    assert isinstance(source, FilesSource)
    assert source.ledger == f"{tmp_path}/shared/[[]team]/data/l.csv"


def test_another_choice_replaces_instead_of_merging(tmp_path: Path) -> None:
    manifest = load(tmp_path / "e.yaml", HEAD + "load: {source: none}\n"
                    "backfill: {source: {synthetic: {payments: 3}}}\n")
    assert isinstance(manifest.backfill.source, SyntheticSource)
    assert manifest.load.source is None


def test_the_digest_is_over_values_alone(tmp_path: Path) -> None:
    plain = load(tmp_path / "e.yaml", HEAD + "cutover: {skew: 5m, at: 2026-11-01T00:00:00Z}\n")
    (tmp_path / "else").mkdir()
    same = load(tmp_path / "else" / "f.yaml", "# a comment\ncutover:\n  at: '2026-11-01 00:00:00+00:00'\n  skew: 300s\n"
                + "\n".join(reversed(HEAD.splitlines())))
    assert same.digest == plain.digest
    digests = {plain.digest}
    place = "azure: {subscription: 00000000-0000-0000-0000-000000000000, location: koreacentral}\n"
    for change in ("owner: kim\n->owner: lee\n", "2026-12-31->2026-12-30", "5m->6m", "local->azure"):
        before, after = change.split("->")
        text = HEAD + place + "cutover: {skew: 5m, at: 2026-11-01T00:00:00Z}\n"
        digests.add(load(tmp_path / "e.yaml", text.replace(before, after)).digest)
    assert len(digests) == 5


def test_every_value_is_in_the_digest() -> None:
    """A leaf of the manifest that is not among `values` could change unseen."""
    manifest = load(asset("manifests") / "dev-kim.yaml")
    declared = {path for path, at in manifest.positions.items()
                if not any(other.startswith(f"{path}.") for other in manifest.positions)}
    assert declared <= set(manifest.values)


def test_loading_twice_is_the_same() -> None:
    path = asset("manifests") / "dev-kim.yaml"
    assert load(path) == load(path)
    assert replace(load(path), file="other") != load(path)


TOKENS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=5)


@settings(max_examples=100, deadline=None)
@given(owner=TOKENS, env=st.one_of(st.sampled_from(["dev", "test", "stage", "prod"]), TOKENS), project=TOKENS,
       team=st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=3, max_size=5))
def test_a_first_manifest_is_valid_at_once(
        tmp_path_factory: pytest.TempPathFactory, owner: str, env: str, project: str, team: str) -> None:
    path = tmp_path_factory.getbasetemp() / "first.yaml"
    manifest = load(path, first_manifest(owner, env, project, team, date(2027, 1, 31)))
    names = manifest.names
    assert (names.owner, names.env, names.project, names.team) == (owner, env, project, team)
    assert manifest.ttl == date(2027, 1, 31)


def test_the_comments_of_a_first_manifest_are_valid_too(tmp_path: Path) -> None:
    """Taken out of their comments, the examples lack nothing but the files that they name."""
    text = first_manifest("kim", "dev", "txlookup", "team4", date(2027, 1, 31))
    head, _, examples = text.partition("# backfill:")
    path = tmp_path / "first.yaml"
    path.write_text(head + re.sub("^# ?", "", "# backfill:" + examples, flags=re.MULTILINE))
    _, found = load_manifest(path, today=TODAY)
    assert [diagnostic.code for diagnostic in found] == ["no-files", "no-files"]
