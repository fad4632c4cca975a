"""Smoke: the service answers as it should (P5, P8.3), and a window of real load under which gates are read.

`smoke.service` publishes, looks up, breaks something on purpose and leaves no trace. `smoke.load` feeds events and
asks look-ups for a while and keeps what the metrics said. Must not: judge the metrics; that is the gates' part.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from psycopg import sql

from engine.kinds import wiring
from engine.kinds.backfill import describe_source, job_source
from engine.kinds.base import Needs, goes_with
from engine.kinds.jobs import Interrupted, run_job
from engine.kinds.measure import UP, counted_since, lag_records, summarise
from engine.kinds.proof import decide_proof, observe_proof, subject
from engine.kinds.records import insert_proof, read
from engine.model.address import Address
from engine.model.change import Action, Change, Decision, Reason
from engine.model.diagnostic import Refused, error
from engine.model.manifest import Manifest
from engine.model.observation import Observation
from engine.model.step import Step
from engine.model.value import Attributes
from engine.providers.base import Capabilities, Context, Progress, Sample

_SCRAPE_EVERY_S = 1.0
_DRAIN_S = 60.0


class SmokeKind:
    """See the module."""

    name = "smoke"
    proves = True
    reads_by = ("environment", "of_service", "source", "events_per_s", "requests_per_s", "duration_s",
                "error_window_s")
    ready_seconds = 5.0

    def steps(self, manifest: Manifest) -> Iterable[Step]:
        """The functional test, then the load."""
        apps = frozenset({wiring.CONSUMER, wiring.API, *([wiring.REPLAY] if manifest.reprocess else [])})
        hubs = {f"HUB_{h.key.upper()}": h.name for h in manifest.hubs}
        yield Step(wiring.SMOKE, {"environment": hubs, "of_service": True}, apps | {wiring.SCHEMA},
                   frozenset({wiring.SCHEMA}), manifest.where("api"))
        load = manifest.load
        yield Step(wiring.LOAD, {
            "environment": hubs, "of_service": True, "source": describe_source(load.source) if load.source else None,
            "events_per_s": load.events_per_s, "requests_per_s": load.requests_per_s,
            "duration_s": load.duration.total_seconds(),
            "error_window_s": manifest.slo.error_window.total_seconds(),
        }, apps | {wiring.SMOKE, wiring.SCHEMA}, frozenset({wiring.SCHEMA}), manifest.where("load"))

    def observe(self, step: Step, capabilities: Capabilities) -> Observation:
        """The newest proof; for the load also the gates that did not pass on its window."""
        seen = observe_proof(step, capabilities)
        if step.address != wiring.LOAD or not seen.exists or seen.unreadable:
            return seen
        failed = read(Needs(capabilities).database, sql.SQL(
            "SELECT step FROM (SELECT DISTINCT ON (step) step, outcome FROM bo.proofs WHERE step LIKE 'gate.%%' "
            "ORDER BY step, id DESC) newest WHERE outcome <> 'pass' ORDER BY 1"), {})
        return Observation(seen.address, True, {**seen.attributes, "gates_not_passed": [r[0] for r in failed]},
                           seen.notes)

    def decide(self, step: Step, seen: Observation, upstream: Mapping[Address, Action]) -> Decision:
        """As any proof; a gate that did not pass needs a new window too."""
        decision = decide_proof(step, seen, upstream)
        failed = seen.attributes.get("gates_not_passed")
        if decision.action is Action.NOOP and isinstance(failed, list) and failed:
            return Decision(Action.RUN, (Reason("gate", f"A new window is measured for {', '.join(failed)}."),))
        return decision

    decide_delete = staticmethod(goes_with("the database"))

    def apply(self, change: Change, capabilities: Capabilities, context: Context) -> Attributes:
        """Run the test and keep its proof, passed or failed."""
        needs, started = Needs(capabilities), datetime.now(UTC)
        about = subject(change.spec, needs)
        detail: dict[str, Any] = {}
        run = _service if change.address == wiring.SMOKE else _load
        try:
            run(change, needs, context, detail)
        except Refused:
            insert_proof(needs.database, str(change.address), about, "fail", started, detail)
            raise
        insert_proof(needs.database, str(change.address), about, "pass", started, detail)
        return detail

    def ready(self, change: Change, capabilities: Capabilities) -> str | None:
        """A passed test is ready."""
        return None


def _api(change: Change, needs: Needs) -> str:
    state = needs.apps.describe(wiring.API.name)
    if state is None or not state.endpoints:
        raise Refused([error("no-endpoint", "The API has no endpoint.", mend="Apply app.api.", address=change.address)])
    return state.endpoints[0]


def _hubs(change: Change) -> dict[str, str]:
    environment = change.spec["environment"]
    assert isinstance(environment, Mapping)
    return {str(k): str(v) for k, v in environment.items()}


def _service(change: Change, needs: Needs, context: Context, detail: dict[str, Any]) -> None:
    checks: list[dict[str, Any]] = []
    detail["checks"] = checks

    def check(event: Mapping[str, Any]) -> None:
        if event.get("event") == "check":
            checks.append({k: event.get(k) for k in ("name", "ok", "detail")})
            context.emit(Progress(note=f"{event.get('name')}: {'ok' if event.get('ok') else 'failed'}"))

    run_job(needs.jobs, change.address, [sys.executable, "-m", "streamapp", "smoke"],
            {**_hubs(change), "SMOKE_SPEC": json.dumps({"api": _api(change, needs)})},
            {**needs.database.client_environment(wiring.MIGRATOR), **needs.broker.client_environment("prove"),
             "API_TOKEN": needs.secrets.get(wiring.TOKEN_SECRET)}, context, on_event=check)


def _load(change: Change, needs: Needs, context: Context, detail: dict[str, Any]) -> None:
    """Feed and look up at the same time, scrape each second, and go on until the stream has drained."""
    spec, samples, done = change.spec, list[Sample](), threading.Event()
    quiet = Context(emit=lambda _: None, cancelled=lambda: context.cancelled() or done.is_set())
    started = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        jobs = {"lookups": pool.submit(_look_ups, change, needs, quiet)}
        if spec["source"] is not None:
            jobs["feed"] = pool.submit(_feed, change, needs, quiet)
        try:
            while not all(j.done() for j in jobs.values()):
                samples += _scrape(needs)
                context.emit(Progress(note=f"{time.monotonic() - started:.0f} s of load, {_behind(samples)}"))
                if any(j.done() and j.exception() for j in jobs.values()):
                    break
                time.sleep(_SCRAPE_EVERY_S)
        finally:
            done.set()
        problems = [p for job in jobs.values() if (p := job.exception()) is not None]
        if problems:
            # The one that failed, before the one that was stopped because of it.
            raise sorted(problems, key=lambda p: isinstance(p, Interrupted))[0]
        detail.update({name: dict(job.result()) for name, job in jobs.items()})
    _drain(change, needs, samples, context)
    detail["window_s"] = round(time.monotonic() - started, 1)
    unanswered = int(detail["lookups"].get("statuses", {}).get("no-answer", 0))
    detail["measured"] = summarise(samples, error_window_s=float(str(spec["error_window_s"])), unanswered=unanswered)


def _look_ups(change: Change, needs: Needs, context: Context) -> Mapping[str, Any]:
    load = {"api": _api(change, needs), "requests_per_s": change.spec["requests_per_s"],
            "duration_s": change.spec["duration_s"]}
    return run_job(needs.jobs, Address("smoke", "load-lookups"), [sys.executable, "-m", "streamapp", "load"],
                   {"LOAD_SPEC": json.dumps(load)},
                   {**needs.database.client_environment(wiring.API_ROLE),
                    "API_TOKEN": needs.secrets.get(wiring.TOKEN_SECRET)}, context)


def _feed(change: Change, needs: Needs, context: Context) -> Mapping[str, Any]:
    source = change.spec["source"]
    assert isinstance(source, Mapping)
    feed = {**job_source(source), "rate": change.spec["events_per_s"], "limit": None, "shift_to_now": False}
    return run_job(needs.jobs, Address("smoke", "load-feed"), [sys.executable, "-m", "streamapp", "feed"],
                   {**_hubs(change), "FEED_SPEC": json.dumps(feed)}, needs.broker.client_environment("send"),
                   context)


def _scrape(needs: Needs) -> list[Sample]:
    """All replicas of both apps, stamped with one time so that their gauges can be held together; `up` says of each app
    whether anything answered, so that silence is seen."""
    at = datetime.now(UTC)
    found: list[Sample] = []
    for app in (wiring.CONSUMER.name, wiring.API.name):
        answered = needs.metrics.scrape(app)
        found.append(Sample(app, 0, at, UP, {}, float(bool(answered))))
        found += [Sample(s.app, s.replica, at, s.name, s.labels, s.value) for s in answered]
    return found


def _behind(samples: Sequence[Sample]) -> str:
    lag = lag_records(samples)
    return "nothing says how far the stream is behind" if lag is None else f"{lag:,.0f} events behind"


def _drain(change: Change, needs: Needs, samples: list[Sample], context: Context) -> None:
    """Wait until the consumer has caught up and what is counted was counted after that; what the gates then read
    includes the way there. Refused where it does not come to that in time."""
    until, drained_at = time.monotonic() + _DRAIN_S, None
    while time.monotonic() < until:
        if context.cancelled():
            raise Interrupted
        samples += _scrape(needs)
        if drained_at is None and lag_records(samples) == 0:
            drained_at = time.time()
        if drained_at is not None and counted_since(samples, drained_at):
            return
        context.emit(Progress(note=f"the stream drains, {_behind(samples)}" if drained_at is None else
                              "the stream has drained; pairs are counted"))
        time.sleep(_SCRAPE_EVERY_S)
    raise Refused([error("not-drained", f"The stream did not drain within {_DRAIN_S:.0f} s: {_behind(samples)}.",
                         "No gate can be read on a stream that stands still or is never counted.",
                         "See `txplan status` and the consumer's log, and apply again.", address=change.address)])


KIND = SmokeKind()
