"""State folders with plans and journals as txplan writes them, and the page's server on top of them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from falcon import testing

from engine.applying.journal import Journal
from engine.model.address import Address
from engine.model.change import Action, Change, Reason
from engine.model.event import ApplyStarted, Event, StepStarted, StepSucceeded
from engine.model.plan import Plan
from engine.model.step import Environment
from engine.planning.planfile import save_plan
from engine.providers.base import Capabilities, Known
from engine.providers.local.lock import FileLock
from engine.ui.guard import Guard
from engine.ui.reader import Places, Reader
from engine.ui.server import application
from tests.support.filekind import ENVIRONMENT, plan_of
from tests.support.postgres import Database

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PORT = 4711


class Db:
    """The engine's Database over a server of the tests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def connect(self, role: str, *, database: str | None = None) -> Any:
        with psycopg.connect(self._database.conninfo(role)) as connection:
            yield connection

    def reachable(self) -> bool:
        return True

    def client_environment(self, role: str) -> dict[str, str]:
        return self._database.environment(role)


def named(number: int) -> Address:
    return Address("file", f"f{number:05d}")


def tree(count: int) -> tuple[Change, ...]:
    """That many files to make, each after the one above it in a 3-ary tree."""
    return tuple(Change(named(n), Action.CREATE, {"n": n}, frozenset({named((n - 1) // 3)} if n else ()), "0" * 64,
                        None, (Reason("absent", "It does not exist yet."),)) for n in range(count))


@dataclass
class State:
    """A state folder. `live` are the environments that are live in it, `database` theirs where they have one."""

    folder: Path
    live: list[Environment] = field(default_factory=list)
    database: Database | None = None

    def plan(self, *changes: Change, name: str = "dev-kim") -> Plan:
        """Keep a plan of these changes as the one last made."""
        plan = replace(plan_of(*changes), environment=replace(ENVIRONMENT, name=name, tags={"ttl": "2099-12-31"}))
        (self.folder / "plans").mkdir(parents=True, exist_ok=True)
        save_plan(plan, self.path(name))
        return plan

    def path(self, name: str = "dev-kim") -> Path:
        return self.folder / "plans" / f"{name}.json"

    def journal(self, name: str = "dev-kim") -> Journal:
        return Journal(self.folder / "journal" / f"{name}.jsonl")

    def lock(self, name: str = "dev-kim") -> AbstractContextManager[Any]:
        return FileLock(self.folder, name).acquire("apply")

    def begin(self, plan: Plan, done: int, running: int, suffix: str = "") -> None:
        """Write a run that has done the first steps and runs the next ones."""
        name = plan.environment.name
        with self.path(name).open("rb") as file:  # It ends in its digest, which takes a second to make anew.
            file.seek(-100, os.SEEK_END)
            id_ = json.loads("{" + file.read().decode(errors="replace").rpartition(", ")[2])["digest"][:16]
        events: list[Event] = [ApplyStarted(NOW, "r1", id_ + suffix, name, len(plan.pending))]
        for place, change in enumerate(plan.pending[:done + running]):
            events.append(StepStarted(NOW, change.address, change.action))
            if place < done:
                events.append(StepSucceeded(NOW, change.address, change.action, 0.5, {"says": "as it shall be"}))
        self.journal(name).append(*events)

    def reader(self, only: Sequence[str] = ()) -> Reader:
        def opened(environment: Environment) -> Capabilities:
            return Capabilities({}, FileLock(self.folder, environment.name),
                                database=Db(self.database) if self.database else None)

        return Reader(Places(
            lambda: [Known(e, "group", NOW, None) for e in self.live], opened,
            lambda name: self.folder / "plans" / f"{name}.json", lambda name: self.folder / "journal" / f"{name}.jsonl",
            lambda name: self.folder / "evidence" / name,
            lambda: [p.stem for p in (self.folder / "plans").glob("*.json")], lambda: NOW, "kim@laptop"), only)


class Page:
    """The server as its page speaks to it."""

    def __init__(self, reader: Reader, *, allow_actions: bool = False) -> None:
        self.guard = Guard(PORT)
        self.client = testing.TestClient(application(reader, self.guard, allow_actions=allow_actions))

    def ask(self, path: str, method: str = "GET", **headers: str) -> testing.Result:
        """A request with the right token and host, but for what `headers` say."""
        host = headers.pop("Host", f"127.0.0.1:{PORT}")  # With port 80 the header is what is given as the host.
        given = {"Authorization": f"Bearer {self.guard.token}",
                 **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.client.simulate_request(method, path, headers=given, host=host, port=80)

    def json(self, path: str) -> Any:
        answer = self.ask(path)
        assert answer.status_code == 200, answer.text
        return answer.json
