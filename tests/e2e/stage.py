"""An environment as its user has it: a manifest in an empty folder and the installed `txplan` command.

Owns running the command, reading what it says, and looking behind it (processes, files, tables) by other means than the
engine's own. Must not call the engine to change anything.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
import yaml

from tests.support.digest import Digest, table_digest

TXPLAN = str(Path(sys.executable).with_name("txplan"))
_PATIENCE_S = 120.0

# A month of the sample, and a small synthetic stream: minutes of work are no better proof than seconds.
SMALL: Mapping[str, Any] = {
    "project": "txlookup", "team": "team4", "owner": "eva", "env": "dev", "ttl": "2099-12-31", "target": "local",
    "profile": "cloud-test",
    "backfill": {"source": {"files": {"orders": "sample:backfill/orders-2017-01.parquet",
                                      "ledger": "sample:backfill/ledger-2017-01.parquet"}}, "chunk_rows": 5000},
    "load": {"source": {"synthetic": {"payments": 500}}, "events_per_s": 500, "requests_per_s": 20, "duration": "4s"},
    # What is proven here is the road; how fast this machine is plays no part.
    "slo": {"api_p95": "10s", "freshness_p95": "60s"},
}


@dataclass(frozen=True)
class Result:
    """What a command ended with and said."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """Its standard output, every line of which is JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    def event(self, name: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e.get("event") == name]

    @property
    def codes(self) -> set[str]:
        """The codes of all diagnostics."""
        found = {e["code"] for e in self.event("Diagnostic")}
        return found | {e["diagnostic"]["code"] for e in self.event("StepFailed")}

    @property
    def failures(self) -> str:
        """What went wrong, for the message of an assertion."""
        told = [e["diagnostic"] for e in self.event("StepFailed")] + self.event("Diagnostic")
        told += [v for e in self.events for v in e.get("verdicts", ()) if v["outcome"] == "block"]
        return f"exit code {self.code}: {json.dumps(told)}{self.err}"

    @property
    def plan(self) -> dict[str, Any]:
        """The plan among its lines."""
        [plan] = [e for e in self.events if "format_version" in e]
        return plan

    @property
    def blocked(self) -> set[str]:
        """The codes of what guardrails refuse of the plan."""
        return {v["diagnostic"]["code"] for v in self.plan["verdicts"] if v["outcome"] == "block"}

    @property
    def actions(self) -> dict[str, str]:
        """Address to action, of what the plan would do."""
        return {c["address"]: c["action"] for c in self.plan["changes"] if c["action"] != "no-op"}

    def change(self, address: str) -> dict[str, Any]:
        [found] = [c for c in self.plan["changes"] if c["address"] == address]
        return dict(found)


@dataclass
class Stage:
    """One folder with one manifest. `values` are laid over SMALL."""

    folder: Path
    values: dict[str, Any]
    state: Path
    command: str = TXPLAN
    _started: list[subprocess.Popen[str]] = field(default_factory=list)
    _instances: set[str] = field(default_factory=set)
    _runtimes: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.write()

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.yaml"

    @property
    def name(self) -> str:
        values = {**SMALL, **self.values}
        return f"{values['env']}-{values['owner']}"

    def write(self, **changes: Any) -> None:
        """Lay `changes` over the manifest and write it; top-level keys are merged one level deep."""
        for key, value in changes.items():
            both = isinstance(value, dict) and isinstance(self.values.get(key), dict)
            self.values[key] = {**self.values[key], **value} if both else value
        merged = {key: {**SMALL[key], **value} if isinstance(value, dict) and key in SMALL else value
                  for key, value in self.values.items()}
        self.manifest.write_text(yaml.safe_dump({**SMALL, **merged}, sort_keys=False))

    # The command

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "TXPLAN_STATE_DIR": str(self.state), "PYTHONUNBUFFERED": "1"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command running, in a session of its own, without a terminal."""
        process = subprocess.Popen([self.command, *arguments], cwd=self.folder, env=self.environment, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   start_new_session=True)
        self._started.append(process)
        return process

    def run(self, *arguments: str) -> Result:
        """The command, to its end."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=_PATIENCE_S)
        self.look()
        return Result(process.returncode, out, err)

    def plan(self, *arguments: str) -> Result:
        return self.run("plan", str(self.manifest), "--json", "--detailed-exitcode", *arguments)

    def apply(self, *arguments: str) -> Result:
        return self.run("apply", str(self.manifest), "--auto-approve", "--json", *arguments)

    def destroy(self) -> Result:
        return self.run("destroy", str(self.manifest), "--confirm", self.name, "--json")

    # Behind it

    @property
    def home(self) -> Path:
        return self.state / "envs" / self.name

    def look(self) -> None:
        """Remember who the environment is, so that what it leaves can be found when its record is gone."""
        try:
            group = json.loads((self.home / "group.json").read_text())
        except FileNotFoundError:
            return
        self._instances.add(group["instance"])
        self._runtimes.add(Path(group["runtime"]))

    def processes(self, **variables: str) -> list[psutil.Process]:
        """All processes of the environment; with `variables` those whose environment holds these too."""
        self.look()
        return [p for p in psutil.process_iter() if _belongs(p, self._instances, variables)]

    @contextmanager
    def database(self, role: str = "bo_migrator") -> Iterator[psycopg.Connection[Any]]:
        with self._target().database.connect(role) as connection:
            yield connection

    def digest(self) -> Digest:
        with self.database() as connection:
            return table_digest(connection)

    def query(self, query: str) -> Any:
        with self.database() as connection:
            return connection.execute(query.encode()).fetchall()

    def secrets(self) -> dict[str, str]:
        """Every secret's name and text."""
        vault = self._target().secrets
        return {name: vault.get(name) for name in vault.names()}

    def status(self) -> dict[str, Any]:
        result = self.run("status", self.name, "--json")
        assert result.code == 0, result
        return dict(result.events[0])

    def endpoints(self, app: str) -> list[str]:
        return [e for a in self.status()["apps"] if a["name"] == app for e in a["endpoints"]]

    def ask(self, path: str, token: str | None = None, *, base: str | None = None) -> tuple[int, Any]:
        """(status, body) of a GET to the API at `base`, by default its first replica."""
        at = urlsplit(base or self.endpoints("api")[0])
        connection = http.client.HTTPConnection(str(at.hostname), at.port, timeout=10)
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def _target(self) -> Any:
        from datetime import date

        from engine.load import load_manifest
        from engine.planning.graph import environment_of
        from engine.providers.local import open_target

        manifest, found = load_manifest(self.manifest, today=date(2026, 1, 1))
        assert manifest is not None, found
        return open_target(environment_of(manifest), self.state)

    # Its end

    def end_commands(self) -> None:
        """A test that failed may have left a command running."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def kill_all(self) -> None:
        """Every process of the environment dies at once, as in a power cut."""
        found = self.processes()
        for process in found:
            process.send_signal(signal.SIGSTOP)
        for process in found:
            process.kill()
        psutil.wait_procs(found, timeout=30)

    def sweep(self) -> None:
        """Where destroying failed, the machine is left clean all the same; the test has failed by then."""
        self.kill_all()
        for folder in (*self._runtimes, self.home):
            shutil.rmtree(folder, ignore_errors=True)

    def assert_gone(self) -> None:
        """No process and no file of the environment; only what was planned, done and proven remains to be read."""
        assert self._instances, "it never was there"
        assert self.processes() == []
        assert [r for r in self._runtimes if r.exists()] == []
        assert not self.home.exists()
        kept = ("plans", "journal", "evidence", *(f"envs/{n.name}" for n in self.state.glob("envs/*")))
        left = [p for p in self.state.rglob("*") if not p.is_dir()
                and not any(p.is_relative_to(self.state / folder) for folder in kept)]
        assert left == []


def _belongs(process: psutil.Process, instances: set[str], variables: Mapping[str, str]) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        environment, arguments = process.environ(), " ".join(process.cmdline())
    except (psutil.Error, OSError):
        return False
    if any(environment.get(key) != value for key, value in variables.items()):
        return False
    # PostgreSQL's processes write their title over their environment; the cluster's name is in it.
    return environment.get("TXPLAN_INSTANCE") in instances or (
        not variables and any(f"txplan-{i}" in arguments for i in instances))


@contextmanager
def staged(folder: Path, *, state: Path | None = None, command: str = TXPLAN, **values: Any) -> Iterator[Stage]:
    """A stage whose environment is destroyed at the end, and found to be gone, also when the test failed."""
    stage = Stage(folder, values, state or folder / "state", command)
    try:
        yield stage
    finally:
        stage.end_commands()
        stage.look()
        if stage._instances:
            try:
                result = stage.destroy()
                assert result.code == 0, result.failures
                stage.assert_gone()
            finally:
                stage.sweep()


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true value of the condition; fails when there is none for a long while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("it never came true")
