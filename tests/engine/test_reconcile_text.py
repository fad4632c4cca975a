"""A sample names a row of the source by its key, and the key is whatever the source holds."""

from __future__ import annotations

from typing import Any

from engine.render.paint import plain
from engine.render.reconcile_text import compared


def test_a_key_speaks_to_no_terminal() -> None:
    books = dict.fromkeys(("stale", "diverged", "extra", "streamed", "in_flight", "refused"), 0)
    result: dict[str, Any] = {
        "fence": "2026-01-02T03:04:05+00:00", "differences": 1, "seconds": 1.0, "peak_mib": 100,
        "tables": {"bo.ledger_entries": {**books, "missing": 1, "source_rows": 1, "store_rows": 0, "segments": 1,
                                         "differing_segments": 1}}}
    sample = {"table": "bo.ledger_entries", "class": "missing", "key": "tx-1\x1b[2J\nEqual", "columns": (),
              "source": {"version": 1, "stamp": "2026-01-02T03:04:05+00:00"}, "store": None}
    text = compared(result, [sample], plain)
    assert "\x1b" not in text and not any(line.startswith("Equal") for line in text.splitlines())
    assert r"tx-1\x1b[2J\nEqual" in text
