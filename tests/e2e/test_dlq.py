"""Dead letters by the command line: seen, shown without harm, replayed, and purged."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from tests.e2e.stage import Result, Stage, wait_for

EVIL = b'\x1b]0;owned\x07\x1b[31m\xe2\x80\xae{"tx_id": \xff\r\n\\}'
RIGHT = {"tx_id": "dlq-1", "wallet_id": "w", "type": "CHARGE", "amount": "1", "event_time": "2026-01-01T00:00:00Z"}
_INSERT = """INSERT INTO bo.consumer_dlq_events
    (topic, partition, "offset", key, payload, error_class, error_detail, created_at, resolved_at)
    VALUES (%s, 0, %s, 'k', %s, %s, 'why', now() - %s::interval, %s::timestamptz) RETURNING id"""


@pytest.fixture
def letters(up: Stage) -> Iterator[dict[str, int]]:
    """Dead letters of every sort, by what they are; none is left behind."""
    rows = {
        "evil": ("dlq.test\x1b[0m", 1, EVIL, "not_json", "1 hour", None),
        "right": ("ledger.entry.upserted", 2**40, json.dumps(RIGHT).encode(), "bad_amount", "2 hours", None),
        "old": ("dlq.test", 3, b"{", "not_json", "15 days", None),
        "resolved": ("dlq.test", 4, b"{", "not_json", "3 hours", "2026-01-01T00:00:00Z"),
    }
    with up.database() as connection:
        found = {}
        for name, row in rows.items():
            inserted = connection.execute(_INSERT, row).fetchone()
            assert inserted is not None
            found[name] = int(inserted[0])
    yield found
    with up.database() as connection:
        connection.execute("DELETE FROM bo.consumer_dlq_events")
        connection.execute("DELETE FROM bo.ledger_entries WHERE tx_id = 'dlq-1'")


def listed(up: Stage, *arguments: str) -> set[int]:
    result = up.run("dlq", "list", up.name, "--json", *arguments)
    assert result.code == 0, result.failures
    return {event["id"] for event in result.event("DeadLetter")}


def left(up: Stage) -> set[int]:
    return {row[0] for row in up.query("SELECT id FROM bo.consumer_dlq_events")}


def test_list_by_class_topic_and_time(up: Stage, letters: dict[str, int]) -> None:
    ids = letters.values()
    assert listed(up) == set(ids) - {letters["resolved"]}
    assert listed(up, "--all") == set(ids)
    assert listed(up, "--class", "bad_amount") == {letters["right"]}
    assert listed(up, "--topic", "dlq.test") == {letters["old"]}
    assert listed(up, "--since", "90m") == {letters["evil"]}
    assert listed(up, "--until", "14d") == {letters["old"]}
    assert listed(up, "--all", "--limit", "1") == {max(ids)}
    assert up.run("dlq", "list", up.name, "--since", "2026-01-01T00:00:00").code == 1


def test_nothing_of_a_record_reaches_the_terminal_as_it_is(up: Stage, letters: dict[str, int]) -> None:
    shown = up.run("dlq", "show", up.name, str(letters["evil"]))
    assert shown.code == 0
    for result in (shown, up.run("dlq", "list", up.name)):
        assert all(char == "\n" or char.isprintable() for char in result.out + result.err)
    assert r"\x1b]0;owned\x07\x1b[31m\u202e" in shown.out and r"\xff\r\n\\}" in shown.out
    [event] = up.run("dlq", "show", up.name, str(letters["evil"]), "--json").event("DeadLetter")
    assert base64.b64decode(event["payload_base64"]) == EVIL
    assert up.run("dlq", "show", up.name, "999999", "--json").codes == {"unknown-dead-letter"}
    looks = "SELECT count(*) FROM bo.admin_audit_logs WHERE action = 'dlq show' AND target = '{}'"
    assert up.query(looks.format(letters["evil"])) == [(2,)]


def test_replay_resolves_what_is_right_and_says_what_is_not(up: Stage, letters: dict[str, int]) -> None:
    result = up.run("dlq", "replay", up.name, "--json", "--class", "bad_amount")
    assert result.code == 0, result.failures
    [event] = result.event("Replayed")
    assert (event["replayed"], event["applied"], event["still_broken"]) == (1, 1, 0)
    assert listed(up) == {letters["evil"], letters["old"]}
    token = up.secrets()["api-token"]
    assert up.ask("/admin/tx/dlq-1", token)[1]["amount"] == "1.00"
    again = up.run("dlq", "replay", up.name, "--json", str(letters["evil"]))
    assert (again.code, again.codes) == (1, {"still-broken"})
    assert listed(up) == {letters["evil"], letters["old"]}


def test_what_the_stream_puts_aside_can_be_replayed(up: Stage) -> None:
    """The topics' own broken records: all are still broken, and none is lost or doubled by saying so."""
    assert up.run("feed", str(up.manifest), "--synthetic", "40", "--broken", "0.2", "--seed", "5").code == 0
    before = wait_for(lambda: listed(up))
    result = up.run("dlq", "replay", up.name, "--json")
    assert (result.code, result.codes) == (1, {"still-broken"})
    assert result.event("Replayed")[0]["still_broken"] >= len(before)
    assert listed(up) >= before
    with up.database() as connection:
        connection.execute("DELETE FROM bo.consumer_dlq_events")


def test_purge_takes_what_is_resolved_or_old_and_asks(up: Stage, letters: dict[str, int]) -> None:
    def purge(*arguments: str) -> Result:
        return up.run("dlq", "purge", up.name, "--json", *arguments)

    strange = [up.run("dlq", verb, up.name, "--json", "999999") for verb in ("show", "replay", "purge")]
    assert [(one.code, one.codes) for one in strange] == [(1, {"unknown-dead-letter"})] * 3
    asked = purge()
    assert (asked.code, asked.codes) == (1, {"no-terminal"})
    assert left(up) == set(letters.values())
    assert purge("--auto-approve", "--class", "bad_amount").event("Purged")[0]["deleted"] == 0
    [event] = purge("--auto-approve").event("Purged")
    assert (event["resolved"], event["unresolved"], event["deleted"]) == (1, 1, 2)
    assert left(up) == {letters["evil"], letters["right"]}
    assert purge("--auto-approve", "--older-than", "90m").event("Purged")[0]["unresolved"] == 1
    assert purge("--auto-approve", "--unresolved", str(letters["evil"])).event("Purged")[0]["deleted"] == 1
    assert left(up) == set()
