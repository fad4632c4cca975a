"""The page's server: who may ask, what it lets in, that it only reads, and what it says of an environment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from engine.ui.guard import Guard
from tests.support.filekind import ENVIRONMENT
from tests.support.postgres import Database, PostgresServer
from tests.ui.stage import PORT, Page, State, tree

HOSTILE = '<img src=x onerror="alert(1)">\x1b[31m\u202e'


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


@pytest.fixture
def page(state: State) -> Page:
    state.begin(state.plan(*tree(5)), 2, 1)
    return Page(state.reader())


API = ("/api/environments", "/api/environments/dev-kim/run", "/api/environments/dev-kim/steps",
       "/api/environments/dev-kim/step?address=file.f00001", "/api/environments/dev-kim/dlq/1", "/api/nothing")


@pytest.mark.parametrize("path", API)
@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", "Basic {token}", "{token}", "Bearer {token}x"])
def test_no_data_without_the_token(page: Page, path: str, given: str) -> None:
    answer = page.ask(path, Authorization=given.format(token=page.guard.token))
    assert (answer.status_code, answer.json) == (401, {"code": "no-token"})
    assert page.guard.token not in str(answer.headers)


def test_the_token_is_another_one_each_time_and_in_no_answer(page: Page) -> None:
    assert Guard(PORT).token != page.guard.token and len(page.guard.token) >= 43
    for path in (*API, "/", "/static/ui.js"):
        answer = page.ask(path)
        assert page.guard.token not in answer.text + str(answer.headers)
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4711", "127.0.0.1:4712", "127.0.0.1", "",
                                  "0.0.0.0:4711", "localhost.evil.example:4711"])
def test_another_host_is_no_host_of_ours(page: Page, host: str) -> None:
    for path in ("/", "/static/ui.js", "/api/environments"):
        assert page.ask(path, Host=host).status_code == 421
    assert page.ask("/", Host=f"LOCALHOST:{PORT}").status_code == 200


def test_another_page_may_not_ask(page: Page) -> None:
    assert page.ask("/api/environments", Origin="http://evil.example").status_code == 403
    assert page.ask("/api/environments", Origin="null").status_code == 403
    assert page.ask("/api/environments", Origin=f"https://127.0.0.1:{PORT}").status_code == 403
    assert page.ask("/api/environments", Origin=f"http://127.0.0.1:{PORT}").status_code == 200


def test_every_answer_carries_the_policy(page: Page) -> None:
    answers = [page.ask(path) for path in (*API, "/", "/static/ui.css", "/nothing", "/static/../server.py")]
    answers += [page.ask("/", Host="evil.example"), page.ask("/api/environments", Authorization=""),
                page.ask("/api/environments", "DELETE"), page.ask("/api/environments/dev-kim/dlq?page=0")]
    for answer in answers:
        policy = dict(p.split(" ", 1) for p in answer.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'" and policy["script-src"] == policy["connect-src"] == "'self'"
        assert "unsafe" not in str(policy) and policy["frame-ancestors"] == "'none'"
        assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_the_page_needs_nothing_from_elsewhere_and_nothing_inline(page: Page) -> None:
    html = page.ask("/").text
    assert "http://" not in html and "https://" not in html and "style=" not in html and "<style" not in html
    assert html.count("<script") == 1 and " on" not in html.replace(" on\"", "").replace("On this", "")
    for name in ("ui.js", "dom.js", "parts.js", "pictures.js"):
        script = page.ask(f"/static/{name}")
        assert script.headers["content-type"].startswith("text/javascript")
        assert "innerHTML" not in script.text and "eval(" not in script.text
        assert [line for line in script.text.splitlines() if "://" in line] == (
            ['const SVG = "http://www.w3.org/2000/svg";'] if name == "dom.js" else [])


def test_it_only_reads(page: Page, state: State) -> None:
    before = {p: p.stat().st_mtime_ns for p in state.folder.rglob("*") if p.is_file()}
    for path in API[:4]:
        assert page.ask(path).status_code == 200
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert page.ask(path, method).status_code == 405
    assert page.ask("/api/environments/dev-kim/dlq/1/replay", "POST").json == {"code": "read-only"}
    assert {p: p.stat().st_mtime_ns for p in state.folder.rglob("*") if p.is_file()} == before


def test_what_is_not_watched_is_not_there(state: State) -> None:
    for name in ("dev-kim", "dev-eva"):
        state.plan(*tree(2), name=name)
    page = Page(state.reader(["dev-kim"]))
    assert [e["name"] for e in page.json("/api/environments")["environments"]] == ["dev-kim"]
    for name in ("dev-eva", "dev-nobody", "..%2Fplans", "%2e%2e"):
        for part in ("run", "steps", "gates", "dlq", "evidence"):
            assert page.ask(f"/api/environments/{name}/{part}").status_code == 404, (name, part)


def test_an_environment_that_is_not_live_says_so_and_still_shows_its_runs(page: Page) -> None:
    for part in ("service", "cutover", "gates", "books", "dlq"):
        assert [d["code"] for d in page.json(f"/api/environments/dev-kim/{part}")["refused"]] == ["not-live"]
    assert page.json("/api/environments/dev-kim/run")["run"]["succeeded"] == 2
    assert page.json("/api/environments/dev-kim/evidence") == []


def test_an_answer_that_the_page_has_is_not_sent_again(page: Page, state: State) -> None:
    first = page.ask("/api/environments/dev-kim/steps")
    again = page.ask("/api/environments/dev-kim/steps", If_None_Match=first.headers["etag"])
    assert (again.status_code, again.text) == (304, "")
    state.begin(state.plan(*tree(5)), 4, 0)
    assert page.ask("/api/environments/dev-kim/steps", If_None_Match=first.headers["etag"]).status_code == 200


def test_bad_questions_are_refused(page: Page) -> None:
    for query in ("state=broken", "page=x", "page=0", "size=100000"):
        assert page.ask(f"/api/environments/dev-kim/steps?{query}").status_code == 400, query
    assert page.ask("/api/environments/dev-kim/step?address=file.none").status_code == 404
    assert page.ask("/api/environments/dev-kim/nothing").status_code == 404


def test_what_was_edited_is_told(page: Page, state: State) -> None:
    plan = state.folder / "plans" / "dev-kim.json"
    plan.write_text(plan.read_text().replace("f00001", "f00009"))
    run = page.json("/api/environments/dev-kim/run")
    assert run["plan"] is None and "not as txplan wrote it" in run["plan_trouble"]
    folder = state.folder / "evidence" / "dev-kim"
    folder.mkdir(parents=True)
    (folder / f"{'a' * 64}.json").write_text("{}")
    [record] = page.json("/api/environments/dev-kim/evidence")
    assert record["problems"]


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with PostgresServer.started() as server:
        yield server.database()


def test_what_came_with_a_record_is_escaped_and_the_look_is_recorded(state: State, database: Database) -> None:
    state.database, state.live = database, [replace(ENVIRONMENT, tags={"ttl": "2099-12-31"})]
    payload = HOSTILE.encode() + b"\xff\0" + b"x" * 9000
    with psycopg.connect(database.conninfo("bo_migrator")) as connection:
        connection.execute(
            'INSERT INTO bo.consumer_dlq_events (topic, partition, "offset", key, payload, error_class, error_detail) '
            "SELECT %s, 0, n, %s, %s, 'not_json', %s FROM generate_series(1, 45) n",
            (HOSTILE, HOSTILE.encode(), payload, HOSTILE))
    page = Page(state.reader())
    first = page.json("/api/environments/dev-kim/dlq")
    assert first["classes"] == {"not_json": 45} and first["more"] and len(first["letters"]) == 20
    last = page.json("/api/environments/dev-kim/dlq?page=3")
    assert not last["more"] and len(last["letters"]) == 5
    assert page.json("/api/environments/dev-kim/dlq?class=other")["letters"] == []
    id_ = first["letters"][0]["id"]
    letter = page.json(f"/api/environments/dev-kim/dlq/{id_}")
    escaped = r'<img src=x onerror="alert(1)">\x1b[31m\u202e'
    assert letter["key"] == letter["detail"] == escaped and letter["payload"].startswith(escaped + r"\xff\x00xxx")
    assert letter["size"] - letter["left"] == 4096
    assert all(text.isprintable() for text in letter.values() if isinstance(text, str))
    with psycopg.connect(database.conninfo("bo_migrator")) as connection:
        rows = connection.execute("SELECT actor, target FROM bo.admin_audit_logs WHERE action = 'dlq show'").fetchall()
    assert rows == [("kim@laptop", str(id_))]
    assert page.ask("/api/environments/dev-kim/dlq/999999").status_code == 404


def test_a_part_that_fails_unexpectedly_says_no_more_than_where(state: State, caplog: pytest.LogCaptureFixture) -> None:
    state.live = [ENVIRONMENT]  # It has no database: what reads one fails, and nothing else does.
    page = Page(state.reader())
    assert page.json("/api/environments/dev-kim/gates")["refused"][0]["code"] == "no-capability"
    answer = page.ask("/api/environments/dev-kim/service")  # Nor has it resources to look at.
    assert answer.status_code == 500 and answer.json["refused"][0]["code"] == "bug"
    assert "Traceback" not in answer.text and page.guard.token not in caplog.text
    assert page.json("/api/environments/dev-kim/run")["run"] is None
