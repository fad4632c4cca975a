"""The page's server over an environment that serves: every part of it has something to say."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.e2e.stage import Stage, wait_for
from tests.support import browser

EVIL = b'<img src=x onerror="document.title=1">\xff\x1b[31m'
RIGHT = {"tx_id": "ui-1", "wallet_id": "w", "type": "CHARGE", "amount": "1", "event_time": "2026-01-01T00:00:00Z"}


def test_every_part_of_an_environment(up: Stage, tmp_path: Path) -> None:
    letter, right = kept(up, "ui.test", EVIL), kept(up, "ledger.entry.upserted", json.dumps(RIGHT).encode())
    process = up.start("ui", up.name, "--allow-actions", "--json")
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    try:
        ask = asking(url)
        parts(ask, up, letter)
        replayed = ask(f"/{up.name}/dlq/{right}/replay", "POST")
        assert (replayed["replayed"], replayed["applied"]) == (1, 1)
        assert up.query("SELECT count(*) FROM bo.ledger_entries WHERE tx_id = 'ui-1'") == [(1,)]
        if browser.COMMAND is not None:
            shown(url, letter, tmp_path)
    finally:
        process.terminate()
        process.communicate(timeout=30)
        with up.database() as connection:
            connection.execute("DELETE FROM bo.consumer_dlq_events WHERE id = ANY(%s)", ([letter, right],))
            connection.execute("DELETE FROM bo.ledger_entries WHERE tx_id = 'ui-1'")
    assert process.returncode == 143


def kept(up: Stage, topic: str, payload: bytes) -> int:
    """A dead letter of that payload; its number."""
    with up.database() as connection:
        row = connection.execute(
            'INSERT INTO bo.consumer_dlq_events (topic, partition, "offset", payload, error_class, error_detail) '
            "VALUES (%s, 0, 2::int8 ^ 40, %s, 'not_json', '<b>') RETURNING id", (topic, payload)).fetchone()
    assert row is not None
    return int(row[0])


def asking(url: str) -> Callable[..., Any]:
    """What answers the paths of an environment."""
    at = urlsplit(url)

    def ask(path: str, method: str = "GET") -> Any:
        connection = http.client.HTTPConnection(str(at.hostname), at.port, timeout=30)
        connection.request(method, f"/api/environments{path}",
                           headers={"Authorization": f"Bearer {at.fragment.removeprefix('token=')}"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        return json.loads(answer.read())

    return ask


def parts(ask: Callable[..., Any], up: Stage, letter: int) -> None:
    [listed] = ask("")["environments"]
    assert listed["name"] == up.name and listed["live"] and listed["serves"] and "2099-12-31" in listed["ttl"]
    env = f"/{up.name}"
    run = ask(f"{env}/run")
    assert run["runs"] and run["picture"]["nodes"] and not run["plan_trouble"]
    service = ask(f"{env}/service")
    assert {a["name"] for a in service["apps"]} == {"api", "consumer"} and not any(a["waits"] for a in service["apps"])
    assert service["rows"]["ledger_entries"] > 0 and service["now"]["lag_records"] >= 0
    cutover = ask(f"{env}/cutover")
    hubs = up.values.get("hubs", {})
    partitions = sum(hubs.get(key, {}).get("partitions", 2) for key in ("ledger", "order"))
    assert cutover["picture"].startswith("<svg") and len(cutover["partitions"]) == partitions and cutover["marks"]
    assert all(p["replayable"] for p in cutover["partitions"])
    gates = {g["gate"]: g["answers"] for g in ask(f"{env}/gates")}
    assert gates["lag"][-1]["outcome"] == "pass" and gates["lag"][-1]["limit"] > 0
    books = ask(f"{env}/books")
    assert books["off"] == 0 and books["pairs"]["COMPLETE"] > 0
    [record, *_] = ask(f"{env}/evidence")
    assert record["problems"] == [] and len(record["proofs"]) > 5
    assert ask(f"{env}/dlq/{letter}")["payload"] == r'<img src=x onerror="document.title=1">\xff\x1b[31m'
    assert wait_for(lambda: [s for s in ask(f"{env}/service")["samples"] if s["freshness_s"] is not None])


def shown(url: str, letter: int, folder: Path) -> None:
    """In a browser: everything is there, nothing is complained of, and the record is a text."""
    with browser.browser(folder / "profile") as page:
        page.looks()
        page.go(url)
        for what in ("#evidence-body .tile", "#service-body .chart", "#books-body table", "#gates-body .tile"):
            page.until(f"document.querySelector('{what}')")
        page.until("document.querySelector('#cutover-body img').naturalWidth > 300")
        page.say(f"document.querySelector('[data-key=letter-{letter}]').click()")
        page.until("document.querySelector('#detail-body pre')?.textContent.startsWith('<img src=x')")
        assert page.say("document.querySelectorAll('#detail img').length") == 0
        page.picture(folder / "environment.png")
        assert page.complaints == []
