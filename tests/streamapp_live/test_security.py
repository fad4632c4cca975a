"""The API against who means it no good: injections, floods, slow and endless requests, and what it gives away."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest

from streamapp.api.audit import UNRECORDED, Audit
from streamapp.api.server import new_pool
from streamapp.settings import postgres_settings
from tests.streamapp_live.stage import TOKEN, Stage
from tests.streamapp_live.wire import Answer, head, send
from tests.streamapp_live.worker import Process, until

pytestmark = pytest.mark.parametrize("broker", ["noida"], indirect=True)
BEARER = f"Authorization: Bearer {TOKEN}"
ID = "tx-known"
SEED = f"""
INSERT INTO bo.ledger_entries (tx_id, wallet_id, entry_type, amount, event_time, src)
VALUES ('{ID}', 'w', 'PAYMENT', 1, now(), 'stream')
"""  # noqa: S608
SECRET_LOOKING = "hunter2-not-for-logs"

# Ids that reach for the database, the log, the header or the file system; each decoded is an id like any other.
IDS = (
    "'; DROP TABLE bo.ledger_entries; --",
    "' OR '1'='1",
    "tx-known' UNION SELECT rolpassword FROM pg_authid --",
    "\\'; SELECT pg_sleep(10); --",
    "$1",
    "%s%s%n",
    "{0.__class__}",
    "${jndi:ldap://x}",
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e",
    "..",
    "<script>alert(1)</script>",
    "\u00fc\u6f22\U0001f600",
    "tx-known\u0301",
    "x" * 256,
)
# What no id can hold.
NO_IDS = (
    "a\0b",
    "a\r\nSet-Cookie: owned=1",
    "a\nINFO root forged line",
    "\x1b[31mred",
    "\u202egnp.exe",
    "x" * 257,
)


@pytest.fixture
def api(stage: Stage) -> Process:
    stage.run(SEED)
    return stage.api()


def ask(api: Process, path: str, *headers: str, method: str = "GET") -> Answer:
    return send(api.port, head(path, BEARER, *headers, method=method))


def quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def test_an_id_is_data_everywhere(stage: Stage, api: Process) -> None:
    before = stage.rows("SELECT * FROM bo.ledger_entries")
    for route in ("/admin/tx/{}", "/admin/payment-orders/{}"):
        for text in IDS:
            answer = ask(api, route.format(quoted(text)))
            assert (answer.status, answer.code) == (404, "not-found"), text
            assert answer.headers["content-type"] == "application/problem+json"
        for text in NO_IDS:
            answer = ask(api, route.format(quoted(text)))
            assert (answer.status, answer.code) == (400, "invalid-id"), text
            assert "set-cookie" not in answer.headers
    for text in IDS:
        answer = ask(api, f"/admin/wallets/{quoted(text)}/tx")
        # A slash that was quoted is a slash to the router: another path, and so no look-up.
        assert answer.status == (404 if "/" in text else 200), text
    elsewhere = ("/admin/tx/..%2ftx-known", "/admin/tx/%2e%2e/tx/tx-known", "/admin/./tx/tx-known")
    for path in (*elsewhere, "/ADMIN/tx/tx-known", "/admin//tx/tx-known", "/nowhere", "/healthz/", "/healthz/x"):
        assert ask(api, path).status == 404, path
        assert send(api.port, head(path)).status == 401, path
    # Nobody reaches a look-up without a credential by spelling its path otherwise.
    otherwise = ("/%61dmin/tx/tx-known", "/admin%2ftx%2ftx-known", "/admin/tx/tx%2dknown", "//admin/tx/tx-known")
    for path in (*otherwise, "////admin/tx/tx-known", "/%2fadmin/tx/tx-known", "http://x/admin/tx/tx-known"):
        assert ask(api, path).status == 200, path
        assert send(api.port, head(path)).status == 401, path
    assert stage.rows("SELECT * FROM bo.ledger_entries") == before


def test_raw_bytes_in_a_request_line_or_header_are_refused(api: Process) -> None:
    for path in (b"/admin/tx/a\0b", b"/admin/tx/a b", b"/admin/tx/a\x01", b"admin/tx/a"):
        assert send(api.port, head(path, BEARER)).status == 400, path
    for header in ("X: a\0b", "X\0: a", "X : a", "Content-Length: 1\r\nContent-Length: 2", "Content-Length: -1",
                   "Content-Length: 4\r\nTransfer-Encoding: chunked"):  # fmt: skip
        assert send(api.port, head(f"/admin/tx/{ID}", BEARER, header)).status == 400, header
    assert ask(api, f"/admin/tx/{ID}").status == 200


def test_repeated_parameters_and_credentials_decide_nothing(api: Process) -> None:
    for query in ("limit=1&limit=100", "from=2026-01-01&from=2027-01-01", "limit=1&LIMIT=5&limit=2"):
        assert ask(api, f"/admin/wallets/w/tx?{query}").code == "invalid-parameter"
    assert ask(api, "/admin/wallets/w/tx?limit=1;limit=2").code == "invalid-limit"
    assert ask(api, "/admin/wallets/w/tx?limit=1%00").code == "invalid-limit"
    assert send(api.port, head(f"/admin/tx/{ID}", "Authorization: Bearer no", BEARER)).status == 401


def test_everything_that_was_asked_is_one_row_and_no_line(stage: Stage, api: Process) -> None:
    asked = [f"/admin/tx/{quoted(text)}" for text in (*IDS, *NO_IDS)]
    for path in asked:
        ask(api, path)
    send(api.port, head("/admin/tx/a%0d%0aforged", "Authorization: Bearer no"))
    ask(api, "/admin/wallets/w/tx?from=2026-01-01&limit=3")
    ask(api, f"/admin/tx/{ID}", method="DELETE")
    api.terminate()
    rows = stage.rows("SELECT actor, action, target, status FROM bo.admin_audit_logs ORDER BY id")
    assert len(rows) == len(asked) + 3
    assert rows[-3:] == [
        ("-", "GET", "/admin/tx/a\r\nforged", 401),
        ("kim", "GET /admin/wallets/{wallet_id}/tx", "/admin/wallets/w/tx?from=2026-01-01&limit=3", 200),
        ("kim", "DELETE /admin/tx/{tx_id}", f"/admin/tx/{ID}", 405),
    ]
    log = api.log.read_text()
    assert "forged" not in log and "\x1b" not in log


def test_sizes_are_bounded_on_the_wire(stage: Stage) -> None:
    stage.run(SEED)
    api = stage.api(API_URL_BYTES="512", API_HEADER_BYTES="1024", API_BODY_BYTES="16")
    path, endless = f"/admin/tx/{ID}", b"x" * 2_000_000
    cases = {
        (414, "url-too-long"): [head("/admin/tx/" + "x" * 600, BEARER)],
        (431, "headers-too-long"): [head(path, BEARER, "X: " + "y" * 1100)],
        (413, "body-too-long"): [head(path, BEARER, "Content-Length: 17"), b"x" * 17],
    }
    for (status, code), pieces in cases.items():
        answer = send(api.port, *pieces)
        assert (answer.status, answer.code, answer.headers["connection"]) == (status, code, "close")
    assert send(api.port, b"GET /admin/tx/" + endless).status in (414, 0)
    assert send(api.port, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + endless).status in (431, 414, 0)
    chunked = head(path, BEARER, "Transfer-Encoding: chunked") + b"1000\r\n" + b"x" * 4096
    assert send(api.port, chunked).status in (413, 200)
    # At the limit, and in many pieces and many at once, everything is answered.
    fine = head(path, BEARER, "X: " + "y" * 800)
    assert send(api.port, *(fine[i : i + 1] for i in range(len(fine)))).status == 200
    assert send(api.port, head(path, BEARER, "Content-Length: 16"), b"x" * 16).status == 200
    assert send(api.port, head(path, BEARER) * 100).status == 200
    assert stage.one("SELECT count(*) FROM bo.admin_audit_logs WHERE position('xxxx' IN target) > 0") == 0


def test_a_slow_request_is_ended_and_others_are_not_held_up(stage: Stage) -> None:
    stage.run(SEED)
    api = stage.api(API_REQUEST_S="1")
    silent = socket.create_connection(("127.0.0.1", api.port), timeout=30)
    line_breaks = socket.create_connection(("127.0.0.1", api.port), timeout=30)
    line_breaks.sendall(b"\r\n")
    body = socket.create_connection(("127.0.0.1", api.port), timeout=30)
    body.sendall(head(f"/admin/tx/{ID}", BEARER, "Content-Length: 10") + b"x")
    with silent, line_breaks, body:
        assert send(api.port, b"GET /admin/tx/slow HTTP/1.1\r\nHost").status == 408
        assert ask(api, f"/admin/tx/{ID}").status == 200
        assert silent.recv(1) == b"" and line_breaks.recv(1) == b""
        while body.recv(65_536):
            pass


def test_the_rate_is_bounded_for_each_actor_and_told(stage: Stage) -> None:
    stage.run(SEED)
    api = stage.api(API_RATE_PER_S="1", API_BURST="5")
    path = f"/admin/tx/{ID}"
    answers = [ask(api, path) for _ in range(20)]
    refused = [answer for answer in answers if answer.status == 429]
    assert [answer.status for answer in answers[:5]] == [200] * 5 and len(refused) >= 10
    assert {answer.code for answer in refused} == {"too-many-requests"}
    assert all(int(answer.headers["retry-after"]) == 1 for answer in refused)
    # Neither another actor nor a probe pays for it, and who is nobody has a bucket too.
    assert send(api.port, head(path, "Authorization: Bearer another")).status == 200
    assert api.get("/readyz")[0] == 200
    nobody = [send(api.port, head(path)).status for _ in range(20)]
    assert nobody[:5] == [401] * 5 and 429 in nobody
    until(lambda: ask(api, path).status == 200)
    api.terminate()
    audited = dict(stage.rows("SELECT status, count(*) FROM bo.admin_audit_logs WHERE actor = 'kim' GROUP BY 1"))
    assert audited[429] >= len(refused) and audited[200] == 6


def test_connections_are_bounded(stage: Stage) -> None:
    stage.run(SEED)
    api = stage.api(API_CONNECTIONS="20", API_REQUEST_S="2")
    held = [socket.create_connection(("127.0.0.1", api.port), timeout=30) for _ in range(25)]
    try:
        assert ask(api, f"/admin/tx/{ID}").status == 503
        until(lambda: ask(api, f"/admin/tx/{ID}").status == 200)
    finally:
        for connection in held:
            connection.close()


def test_nothing_is_given_away(stage: Stage, api: Process) -> None:
    paths = (f"/admin/tx/{ID}", "/admin/tx/none", "/admin/none", "/nowhere", "/healthz", "/readyz", "/metrics")
    answers = [ask(api, path) for path in paths]
    answers += [send(api.port, head("/admin/tx/x")), send(api.port, b"nonsense\r\n\r\n"), ask(api, "/" + "x" * 9000)]
    answers += [ask(api, "/admin/tx/x", method=method) for method in ("POST", "PUT", "DELETE", "TRACE", "OPTIONS")]
    stage.run("ALTER TABLE bo.payment_orders RENAME COLUMN merchant_name TO hidden")
    broken = ask(api, f"/admin/tx/{ID}")
    assert (broken.status, broken.code) == (500, "unexpected")
    for answer in (*answers, broken):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers and "x-powered-by" not in answer.headers
        said = answer.body.decode().lower()
        told = [word for word in ("traceback", "asyncpg", "falcon", "uvicorn", "hidden", ".py") if word in said]
        assert told == [], said


def test_no_secret_and_no_second_line_in_a_log(stage: Stage) -> None:
    """After all kinds of answers, among them a fault with its traceback and a database that is away."""
    stage.run(SEED)
    passwords = stage.database.passwords
    credentials = json.dumps({"kim": [TOKEN, SECRET_LOOKING]})
    api = stage.api(LOG_LEVEL="DEBUG", API_CREDENTIALS=credentials)
    for token in (TOKEN, SECRET_LOOKING):
        assert send(api.port, head(f"/admin/tx/{ID}", f"Authorization: Bearer {token}")).status == 200
    send(api.port, head("/admin/tx/x", "Authorization: Bearer wrong-but-secret"))
    send(api.port, b"nonsense\r\n\r\n")
    stage.run("ALTER TABLE bo.payment_orders RENAME COLUMN merchant_name TO hidden")
    assert ask(api, f"/admin/tx/{ID}").status == 500
    stage.run("ALTER TABLE bo.payment_orders RENAME COLUMN hidden TO merchant_name")
    other = stage.api(ready=False, PGPASSWORD="not-the-password", LOG_LEVEL="DEBUG")
    until(lambda: other.get("/readyz")[0] == 503)
    assert ask(other, f"/admin/tx/{ID}").status == 503
    api.terminate()
    other.terminate()
    consumer = stage.consumer(LOG_LEVEL="DEBUG")
    consumer.terminate()
    secret = (TOKEN, SECRET_LOOKING, "wrong-but-secret", "not-the-password", *passwords.values())
    for process in (api, other, consumer):
        log = process.log.read_text()
        found = [text for text in secret if text in log]
        assert log and found == []
    lines = api.log.read_text().splitlines()
    assert any("Traceback" in line and "UndefinedColumn" in line for line in lines)
    assert all(line[:2] == "20" for line in lines), "every line begins with its time"


def test_what_the_database_does_not_take_before_the_end_is_in_the_log(stage: Stage) -> None:
    api = stage.api()
    stage.run("REVOKE INSERT ON bo.admin_audit_logs FROM bo_api")
    for number in range(3):
        assert ask(api, f"/admin/tx/kept-{number}").status == 404
    api.terminate()
    lines = [line for line in api.log.read_text().splitlines() if "audit row" in line]
    assert [number for number in range(3) if any(f"/admin/tx/kept-{number}" in line for line in lines)] == [0, 1, 2]


def test_refused_calls_beyond_half_of_the_queue_are_counted(stage: Stage) -> None:
    async def flood() -> None:
        pool = await new_pool(postgres_settings(stage.environment("bo_api")))
        audit = Audit(pool, capacity=4)
        for number in range(5):
            audit.add_denied("-", "GET", f"/admin/{number}", 401)
        assert audit.has_room(), "a call with a credential still has its place"
        audit.start()
        await audit.close()
        await pool.close()

    asyncio.run(flood())
    rows = stage.rows("SELECT action, result_count, status FROM bo.admin_audit_logs ORDER BY id")
    assert rows == [("GET", 0, 401), ("GET", 0, 401), (UNRECORDED, 3, 0)]


def test_either_password_of_a_login_opens_the_pool(stage: Stage) -> None:
    """While a password is rotated nobody knows at which moment the server changes its mind."""
    stage.run(SEED)
    right = stage.database.passwords["bo_api"]
    for first, second in ((right, "not-yet"), ("no-longer", right)):
        api = stage.api(PGPASSWORD=first, PGPASSWORD_OTHER=second)
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(ask, api, f"/admin/tx/{ID}") for _ in range(40)]
        assert {answer.result().status for answer in answers} == {200}
        api.terminate()
