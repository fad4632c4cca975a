"""Backfill: what is before T_cutover, from files, a source database or a synthetic generator (P6.2, P6.4).

Owns when a backfill is due and what its job is told. Must not: read or write a row itself.
"""

from __future__ import annotations

import glob
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.kinds import wiring
from engine.kinds.base import Needs, because_upstream, goes_with, unreadable
from engine.kinds.jobs import Interrupted, run_job
from engine.kinds.records import (
    CutoverRecord,
    active_cutover,
    backfill_run,
    remaining_s,
    set_cutover_state,
    set_snapshot,
    why_unreadable,
)
from engine.kinds.watch import Watch
from engine.model.address import Address
from engine.model.change import Action, Change, Decision, Reason
from engine.model.diagnostic import Refused, error
from engine.model.manifest import BackfillSource, FilesSource, Manifest, PostgresSource, SyntheticSource
from engine.model.observation import Observation
from engine.model.step import Step
from engine.model.value import Attributes, Value, digest
from engine.providers.base import Capabilities, Context, SecretStore


class BackfillKind:
    """See the module."""

    name = "backfill"
    proves = False
    reads_by = ("source",)
    ready_seconds = 5.0

    def steps(self, manifest: Manifest) -> Iterable[Step]:
        """One step where the manifest names a source."""
        if manifest.backfill.source is None:
            return
        source = describe_source(manifest.backfill.source)
        needs = {wiring.CUTOVER, wiring.secret(wiring.CONSUMER_SECRET)}
        if isinstance(manifest.backfill.source, PostgresSource):
            needs.add(wiring.secret(manifest.backfill.source.password))
        cover: dict[str, Value] = {
            "retention_s": min(h.retention for h in manifest.hubs).total_seconds(),
            "recovery_buffer_s": manifest.cutover.recovery_buffer.total_seconds()}
        yield Step(wiring.BACKFILL,
                   {"source": source, "chunk_rows": manifest.backfill.chunk_rows, "cover": cover},
                   frozenset(needs), frozenset({wiring.CUTOVER}), manifest.where("backfill.source"))

    def observe(self, step: Step, capabilities: Capabilities) -> Observation:
        """The run of this source under the active cutover."""
        database = Needs(capabilities).database
        if why := why_unreadable(database):
            return unreadable(step.address, why)
        record = active_cutover(database)
        run = backfill_run(database, record.id, source_digest(step.spec["source"])) if record else None
        gone = _gone(step.spec["source"])
        notes: dict[str, Value] = {"trouble": gone} if gone else {}
        if record is None or run is None:
            return Observation(step.address, exists=False, notes=notes)
        rows = {k: round(run[k]) for k in ("rows_read", "rows_applied", "rows_dlq", "rows_total", "rows_per_s")
                if run[k] is not None}
        return Observation(step.address, exists=True, attributes={"cutover": record.id, "state": run["state"]},
                           notes=rows | notes)

    def decide(self, step: Step, seen: Observation, upstream: Mapping[Address, Action]) -> Decision:
        """Run it where it is not done for the cutover that will be active."""
        reasons: tuple[Reason, ...]
        if not seen.exists:
            action, reasons = Action.RUN, (
                Reason("absent", "This source is not loaded for the cutover yet.", step.source),)
        elif (ahead := upstream.get(wiring.CUTOVER, Action.NOOP)) is not Action.NOOP:
            # Whether the cutover stays is known when it can be read, and not before.
            action = Action.WAIT if ahead is Action.WAIT else Action.RUN
            reasons = because_upstream(upstream, "It fills what is before the cutover")
        elif seen.attributes["state"] != "done":
            action, reasons = Action.RUN, (
                Reason("unfinished", "An earlier run stopped half-way; it goes on from its checkpoints."),)
        else:
            return Decision(Action.NOOP)
        source = step.spec["source"]
        details = {"source": source_in_words(source), **rows_of(source)}
        if reasons[0].code == "unfinished":
            details |= _loaded(seen)
            total, done = seen.notes.get("rows_total"), seen.notes.get("rows_read")
            if isinstance(total, int) and isinstance(done, int):
                details["rows"] = max(total - done, 0)
        return Decision(action, reasons, details=details)

    decide_delete = staticmethod(goes_with("the database"))

    def apply(self, change: Change, capabilities: Capabilities, context: Context) -> Attributes:
        """Run the job under the active cutover; it starts at its checkpoints where there are some."""
        needs = Needs(capabilities)
        record = active_cutover(needs.database)
        if record is None:
            raise Refused([error("no-cutover", "There is no cutover to fill up to.", address=change.address)])
        cover, source = change.spec["cover"], change.spec["source"]
        assert isinstance(source, Mapping) and isinstance(cover, Mapping)
        before = remaining_s(backfill_run(needs.database, record.id, source_digest(source)))
        watch = Watch(change.address, record, cover, needs.broker, context,
                      change.expected_s if before is None else before)
        watch.check()
        set_cutover_state(needs.database, record.id, "backfilling")
        result = _run(change, record, source, needs, watch)
        set_cutover_state(needs.database, record.id, "backfilled")
        says = (f"{result.get('read', 0):,} rows read, {result.get('applied', 0):,} applied, "
                f"{result.get('dlq', 0):,} broken ones to the DLQ")
        return {**result, "says": says}

    def ready(self, change: Change, capabilities: Capabilities) -> str | None:
        """A finished job is ready."""
        return None


def _run(change: Change, record: CutoverRecord, source: Mapping[str, Any], needs: Needs,
         watch: Watch) -> Mapping[str, Any]:
    """The job, to its end, or to where the watch stops it."""
    spec = {**job_source(source), **_owned(record), "chunk_rows": change.spec["chunk_rows"], "cutover_id": record.id,
            "spec_digest": source_digest(source)}

    def hear(event: Mapping[str, Any]) -> None:
        if event.get("event") == "snapshot":
            set_snapshot(needs.database, record.id, {k: v for k, v in event.items() if k != "event"})

    try:
        return run_job(needs.jobs, change.address, [sys.executable, "-m", "streamapp", "backfill"],
                       {"BACKFILL_SPEC": json.dumps(spec)},
                       {**needs.database.client_environment(wiring.CONSUMER_ROLE),
                        **source_environment(source, needs.secrets)}, watch.context, on_event=hear)
    except Interrupted:
        if watch.refusal is None:
            raise
        raise Refused([watch.refusal], exit_code=3) from None
    except Refused as refused:
        if any(d.code == "clock-skew" for d in refused.diagnostics):
            raise Refused(refused.diagnostics, exit_code=3) from refused
        raise


def _owned(record: CutoverRecord) -> dict[str, Value]:
    """{before, future, …}: what the backfill loads of what it reads.

    Where T is the instant at which the cutover was taken, all of it: a stamp says nothing certain of when a row was
    published, and what is read twice is harmless. Where T is fixed, what is stamped before T + Δ: the rest was
    published at or after the start offsets of T - Δ, unless its stamp lies in the future, which proves that it lies.
    """
    found: dict[str, Value] = {"max_skew_s": record.skew.total_seconds(),
                               "broker_ahead_s": record.taken.get("broker_ahead_s", 0.0)}
    if record.requested.get("at") is None:
        return found
    return {**found, "before": (record.t_cutover + record.skew).isoformat(),
            "future": (datetime.now(UTC) + record.skew).isoformat()}


def describe_source(source: BackfillSource) -> dict[str, Value]:
    """The source as the job reads it; for files with names and contents, so that a mended file is a new one."""
    match source:
        case FilesSource(orders=orders, ledger=ledger):
            files = [{"file": Path(f).name, "bytes": Path(f).stat().st_size, "sha256": _sha256(Path(f))}
                     for pattern in (orders, ledger) for f in sorted(glob.glob(pattern))]
            return {"kind": "files", "orders": orders, "ledger": ledger, "files": files}
        case PostgresSource():
            return {"kind": "postgres", "host": source.host, "port": source.port, "database": source.database,
                    "user": source.user, "password": source.password, "sslmode": source.sslmode,
                    "orders_table": source.orders_table, "ledger_table": source.ledger_table}
        case SyntheticSource():
            return {"kind": "synthetic", "rows": 3 * source.payments, "seed": source.seed, "late": source.late,
                    "duplicates": source.duplicates, "out_of_order": source.out_of_order, "broken": source.broken}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _gone(source: Value) -> str:
    """Which files of the source are not there any more; empty where all are."""
    assert isinstance(source, Mapping)
    if source["kind"] != "files":
        return ""
    here = {Path(f).name for key in ("orders", "ledger") for f in glob.glob(str(source[key]))}
    lost = sorted(str(f["file"]) for f in source["files"] if f["file"] not in here)
    return f"the source lacks {len(lost)} of its files, {lost[0]} among them" if lost else ""


def _loaded(seen: Observation) -> dict[str, Value]:
    """The rows of the run that was seen."""
    return {k: v for k, v in seen.notes.items() if k.startswith("rows_")} if seen.exists else {}


def source_in_words(source: Value) -> str:
    """What a reviewer needs to know of a source, on one line."""
    assert isinstance(source, Mapping)
    match source["kind"]:
        case "files":
            size = sum(int(f["bytes"]) for f in source["files"])
            return f"{len(source['files'])} files, {size / 1e6:.1f} MB: {source['orders']}, {source['ledger']}"
        case "postgres":
            return (f"{source['orders_table']} and {source['ledger_table']} of {source['database']} on "
                    f"{source['host']}:{source['port']}")
        case _:
            return f"{source['rows']:,} synthetic rows, seed {source['seed']}"


def rows_of(source: Value) -> dict[str, Value]:
    """{rows}, those that the source holds, where they can be told without reading it: made-up ones, and Parquet's."""
    assert isinstance(source, Mapping)
    if source["kind"] == "synthetic":
        return {"rows": source["rows"]}
    if source["kind"] != "files" or not all(str(f["file"]).endswith(".parquet") for f in source["files"]):
        return {}
    from pyarrow import ArrowException, parquet

    try:
        return {"rows": sum(parquet.read_metadata(file).num_rows for key in ("orders", "ledger")
                            for file in glob.glob(str(source[key])))}
    except (OSError, ArrowException):  # The backfill itself says what is wrong with its files.
        return {}


def job_source(source: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a source's description that its job is told: no listing of files, no name of a secret."""
    connection = {"files", "host", "port", "database", "user", "password", "sslmode"}
    return {key: value for key, value in source.items() if key not in connection}


def source_digest(source: Value) -> str:
    """What names a source in the records: for files names and contents, so that a moved folder is no new source."""
    assert isinstance(source, Mapping)
    return digest({"kind": "files", "files": source["files"]} if source["kind"] == "files" else source)


def source_environment(source: Mapping[str, Any], secrets: SecretStore) -> dict[str, str]:
    """SOURCE_PG* variables of a source database; nothing for the other sources."""
    if source["kind"] != "postgres":
        return {}
    return {"SOURCE_PGHOST": str(source["host"]), "SOURCE_PGPORT": str(source["port"]),
            "SOURCE_PGDATABASE": str(source["database"]), "SOURCE_PGUSER": str(source["user"]),
            "SOURCE_PGSSLMODE": str(source["sslmode"]), "SOURCE_PGPASSWORD": secrets.get(str(source["password"]))}


KIND = BackfillKind()
