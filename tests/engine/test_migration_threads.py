"""Migrations are read by many threads at once, as where several environments are planned together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from engine.assets import asset
from engine.kinds.contracting import offline_sql


def test_many_read_the_sql_of_a_revision_at_once() -> None:
    folder = asset("migrations")
    alone = offline_sql(folder, "0001", "0002")
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: offline_sql(folder, "0001", "0002"), range(24))) == {alone}
