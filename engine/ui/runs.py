"""The runs of one environment: its plan file and its journal, read again only where they have changed.

Owns: what is kept in memory of both. Must not: write.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.applying.follow import Follower, RunLine
from engine.model.diagnostic import Refused
from engine.model.plan import Plan
from engine.model.step import Environment
from engine.planning.planfile import load_named
from engine.providers.base import LockHolder
from engine.ui.board import Board, Part

SHOWN = 15
"""How many runs are listed, the newest first."""


class Runs:
    """See the module. Safe for several threads."""

    def __init__(self, name: str, plan: Path, journal: Path,
                 holder: Callable[[Environment | None], LockHolder | None]) -> None:
        """`holder` says who holds the lock; it is given the plan's environment, for one that is not live yet."""
        self._name, self._path, self._holder = name, plan, holder
        self._follower = Follower(journal)
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._plan: Plan | None = None
        self._parts: list[Part] = []
        self._plan_name = self._trouble = ""
        self._key: tuple[Any, ...] = ()
        self._board: Board | None = None
        self._told: dict[str, Any] = {}

    def board(self) -> Board:
        """The steps as they stand now."""
        with self._lock:
            return self._now()[0]

    def summary(self) -> dict[str, Any]:
        """The plan, the newest run, how many steps are in which state, the graph in short, and the runs before."""
        with self._lock:
            board, holder = self._now()
            if not self._told:
                self._told = self._tell(board, holder)
            return self._told

    def _now(self) -> tuple[Board, LockHolder | None]:
        self._follower.read()
        self._read_plan()
        holder = self._holder(self._plan.environment if self._plan else None)
        run = self._follower.runs[-1] if self._follower.runs else None
        alive = run is not None and not run.finish and holder is not None
        key = (self._follower.version, run.run if run else "", self._stamp, alive, holder)
        if self._board is None or key != self._key:
            self._key, self._told = key, {}
            self._board = Board(self._parts, self._plan_name, run, dict(self._follower.steps), alive=alive)
        return self._board, holder

    def _read_plan(self) -> None:
        try:
            found = self._path.stat()
        except OSError:
            self._stamp = None
            self._forget()
            return
        stamp = found.st_ino, found.st_mtime_ns, found.st_size
        if stamp == self._stamp:
            return
        self._stamp = stamp
        self._forget()
        try:
            self._plan, self._plan_name = load_named(self._path)
            self._parts = [Part(phase) for phase in self._plan.phases()]
        except Refused as refused:
            self._trouble = "; ".join(d.summary for d in refused.diagnostics)

    def _forget(self) -> None:
        self._plan, self._parts, self._plan_name, self._trouble = None, [], "", ""

    def _tell(self, board: Board, holder: LockHolder | None) -> dict[str, Any]:
        plan, run = self._plan, board.run
        return {
            "name": self._name, "plan_trouble": self._trouble, "matches": board.matches, "shows_run": board.shows_run,
            "plan": {"id": self._plan_name, "made_at": plan.created_at.isoformat(timespec="seconds"),
                     "made_by": plan.made_by, "made_on": plan.made_on, "pending": len(plan.pending),
                     "destroy": plan.destroy, "rebuild": bool(plan.rebuild),
                     "ttl": plan.environment.tags.get("ttl", "")} if plan else None,
            "run": {**_told(run), "alive": board.alive} if run else None,
            "lock": {"who": holder.who, "host": holder.host, "pid": holder.pid, "purpose": holder.purpose,
                     "since": holder.since.isoformat(timespec="seconds")} if holder else None,
            "total": len(board.addresses), "counts": dict(board.counts), "kinds": board.kinds(),
            "bands": board.bands(), "picture": board.picture(),
            "runs": [_told(r) for r in reversed(self._follower.runs[-SHOWN:])]}


def _told(run: RunLine) -> dict[str, Any]:
    return {name: getattr(run, name) for name in
            ("run", "plan", "at", "steps", "finish", "seconds", "succeeded", "failed", "skipped")}
