"""Names, tags and consumer groups, as the policy writes them (P3.3, P3.1, P7)."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.load import load_manifest
from engine.model.manifest import Names
from engine.policy import naming

NAMES = Names(team="team4", project="txlookup", short="tx", owner="2dt026", env="test", env_short="t")
TOKENS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12)


@pytest.mark.parametrize(("token", "name"), [
    ("pg", "team4-txlookup-pg-2dt026-test"),
    ("evh", "team4-txlookup-evh-2dt026-test"),
    ("rg", "team4-txlookup-rg-2dt026-test"),
    ("acr", "team4txlookupacr2dt026test"),
    ("caenv", "team4-tx-caenv-2dt026-t"),
    ("kv", "team4-tx-kv-2dt026-t"),
])
def test_names_of_the_policy(token: str, name: str) -> None:
    assert naming.name(NAMES, token) == name


def test_every_token_of_the_policy_has_a_name() -> None:
    assert set(naming.all_names(NAMES)) == {
        "rg", "law", "ai", "pg", "evh", "kv", "id", "acr", "st", "caenv", "api", "con", "job", "vnet", "pe"}
    assert len(set(naming.all_names(NAMES).values())) == 15


def test_lengths_are_held_against_the_limits() -> None:
    owner = "2dt026abcdefghi"
    bad = {found.token: found for found in naming.bad_lengths(
        Names(team="team4", project="txlookup", short="tx", owner=owner, env="test", env_short="t"))}
    assert set(bad) == {"kv"}
    assert (bad["kv"].name, bad["kv"].most) == (f"team4-tx-kv-{owner}-t", 24)


def test_a_group_that_is_too_long_is_found() -> None:
    names = Names("t", "p", "p", "o" * 40, "test", "t")
    assert "consumer-group" in {found.token for found in naming.bad_lengths(names)}


def test_groups_by_generation() -> None:
    assert naming.consumer_group(NAMES, 1) == "bo-sync-test-2dt026-v1"
    assert naming.consumer_group(NAMES, 12).startswith(naming.consumer_group_prefix(NAMES))
    with pytest.raises(ValueError, match="below 1"):
        naming.consumer_group(NAMES, 0)
    for other in ("bo-sync-test-2dt026-v0", "bo-sync-test-2dt026-v01", "bo-sync-test-2dt026-v", "bo-sync-test-lee-v1",
                  "bo-sync-test-2dt026-v1x", "bo-sync-test-2dt026-v1\n"):
        assert naming.generation_of(NAMES, other) is None


@given(owner=TOKENS, env=TOKENS, generation=st.integers(1, 10**6))
def test_a_group_names_its_generation(owner: str, env: str, generation: int) -> None:
    names = Names("team4", "txlookup", "tx", owner, env, "x")
    assert naming.generation_of(names, naming.consumer_group(names, generation)) == generation


@given(owner=TOKENS, other=TOKENS, env=TOKENS)
def test_groups_of_two_environments_never_meet(owner: str, other: str, env: str) -> None:
    mine, theirs = (Names("team4", "txlookup", "tx", who, env, "x") for who in (owner, other))
    if owner != other:
        assert naming.generation_of(mine, naming.consumer_group(theirs, 1)) is None


def test_tags(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text("project: txlookup\nteam: team4\nowner: kim\nenv: dev\nttl: 2026-12-31\ntarget: local\n"
                    "profile: cloud-test\ntags: {cost: '4711'}\n")
    manifest, _ = load_manifest(path, today=date(2026, 11, 23))
    assert manifest is not None
    assert naming.tags(manifest) == {
        "env": "dev", "owner": "kim", "project": "txlookup", "ttl": "2026-12-31", "cost": "4711"}
