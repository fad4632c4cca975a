"""Local environments for tests: real servers in a temporary state folder, and nothing left of them afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.model.step import Environment
from engine.providers.base import Capabilities, Context, Progress
from engine.providers.local import open_target, strays
from engine.providers.local.home import Home
from engine.providers.local.processes import Processes

GROUP, VAULT, SERVER, DATABASE = "team-tx-rg-kim-dev", "team-tx-kv-kim-dev", "team-tx-pg-kim-dev", "txlookup"
TAGS = {"env": "dev", "owner": "kim", "project": "tx", "ttl": "2030-01-01"}
LOGINS = {"bo_migrator": "postgres-migrator", "bo_consumer": "postgres-consumer", "bo_api": "postgres-api"}
POSTGRES = {"name": SERVER, "tags": TAGS, "version": 18, "parameters": {}, "admin_secret": "postgres-admin"}
TX_DATABASE = {"name": DATABASE, "owner": "bo_migrator", "logins": LOGINS, "server": SERVER}


@dataclass
class Local:
    """One environment, as its capabilities and from behind."""

    state: Path
    target: Capabilities
    home: Home
    processes: Processes
    notes: list[str] = field(default_factory=list)

    @property
    def context(self) -> Context:
        def emit(progress: Progress) -> None:
            self.notes.append(progress.note)
        return Context(emit, lambda: False)

    def apply(self, type_: str, **spec: Any) -> None:
        self.target.resources[type_].apply(spec["name"], spec, self.context)

    def observe(self, type_: str, name: str) -> Any:
        return self.target.resources[type_].observe(name)

    def make_group(self) -> None:
        self.apply("group", name=GROUP, tags=TAGS)
        self.apply("vault", name=VAULT, tags=TAGS)

    def make_database(self) -> None:
        self.make_group()
        assert self.target.secrets is not None
        for secret in ("postgres-admin", *LOGINS.values()):
            self.target.secrets.set(secret, f"only for {secret}")
        self.apply("postgres", **POSTGRES)
        wait_for(lambda: self.target.resources["postgres"].ready(SERVER) is None)
        self.apply("database", **TX_DATABASE)

    def destroy(self) -> None:
        self.target.resources["group"].delete(GROUP, self.context)

    def query(self, role: str, query: str) -> Any:
        assert self.target.database is not None
        with self.target.database.connect(role) as connection:
            cursor = connection.execute(query.encode())
            row = cursor.fetchone() if cursor.description else None
            return None if row is None else row[0]


def open_local(state: Path) -> Local:
    environment = Environment("dev-kim", "local", "txlookup", "team", "kim", "dev", TAGS, "tx", "d")
    home = Home(environment, state)
    return Local(state, open_target(environment, state), home, Processes(home))


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true value of the condition; fails when there is none for a long while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("it never came true")


def destroyed(local: Local) -> Iterator[Local]:
    """Yields the environment; then destroys it, and finds no process and no file of it."""
    instances: set[str] = set()
    runtime: set[Path] = set()
    try:
        yield local
    finally:
        if (group := local.home.group()) is not None:
            instances.add(group["instance"])
            runtime.add(Path(group["runtime"]))
            local.destroy()
    assert [p for i in instances for p in strays.find(i)] == []
    assert not local.state.exists()
    assert not any(folder.exists() for folder in runtime)
