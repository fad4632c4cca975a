"""A backfill that was ended goes on where it was: after kill -9 anywhere, and after SIGTERM."""

from __future__ import annotations

import json
import signal
import time

import psycopg
from psycopg.rows import TupleRow

from tests.support import jobs
from tests.support.backfills import done
from tests.support.cutovers import record_cutover
from tests.support.digest import table_digest
from tests.support.postgres import Database

Owner = psycopg.Connection[TupleRow]

FAULTY = {
    "kind": "synthetic", "rows": 60_000, "seed": 5, "late": 0.02, "duplicates": 0.05, "out_of_order": 0.05,
    "broken": 0.01, "spec_digest": "d",
}  # fmt: skip


def test_kill_9_anywhere_and_again_ends_in_the_same_tables(database: Database, owner: Owner) -> None:
    cutover = record_cutover(owner)
    whole = done(database, {**FAULTY, "cutover_id": cutover, "spec_digest": "whole"})
    expected, letters = table_digest(owner), owner.execute("SELECT count(*) FROM bo.consumer_dlq_events").fetchone()
    owner.execute("TRUNCATE bo.ledger_entries, bo.payment_orders, bo.consumer_dlq_events")
    what = {**FAULTY, "cutover_id": cutover}
    killed = 0
    for wait in (0.7, 0.9, 1.1, 0.8):
        process = jobs.start("backfill", database.environment("bo_consumer"), "BACKFILL_SPEC", what)
        time.sleep(wait)
        process.kill()
        killed += jobs.finish(process).code == -signal.SIGKILL
    assert killed
    result = done(database, what)
    assert table_digest(owner) == expected
    assert owner.execute("SELECT count(*) FROM bo.consumer_dlq_events").fetchone() == letters
    assert {k: result[k] for k in ("read", "dlq", "left")} == {k: whole[k] for k in ("read", "dlq", "left")}


def test_sigterm_ends_at_a_chunk_and_the_next_run_goes_on(database: Database, owner: Owner) -> None:
    cutover = record_cutover(owner)
    what = {**FAULTY, "rows": 300_000, "cutover_id": cutover}
    process = jobs.start("backfill", database.environment("bo_consumer"), "BACKFILL_SPEC", what)
    assert process.stdout is not None
    while json.loads(process.stdout.readline())["event"] != "progress":
        pass
    process.send_signal(signal.SIGTERM)
    assert jobs.finish(process).code == 143
    state = owner.execute("SELECT state, rows_read FROM bo.backfill_runs").fetchone()
    assert state is not None
    assert state[0] == "running"
    assert 0 < state[1] < 300_000
    rows = owner.execute("SELECT sum(rows_applied), sum(rows_dlq) FROM bo.backfill_checkpoints").fetchone()
    held = sum(n for n, _ in table_digest(owner).values())
    assert rows is not None
    assert held <= rows[0]
    # The rest is not needed for the proof: what is committed and what the checkpoints say agree.
    assert owner.execute("SELECT count(*) FROM bo.consumer_dlq_events").fetchone() == (rows[1],)
