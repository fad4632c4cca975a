"""A cutover's coverage and an environment's consumer groups as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from engine.model.duration import spoken
from engine.planning.consumer_groups import GroupLine
from engine.planning.coverage import Coverage, PartitionCover
from engine.render.paint import Paint

_WHOSE = {"active": "good", "old": "dim", "foreign": "warn"}


def render(seen: Coverage, paint: Paint) -> str:
    """A few lines and a table of partitions, ending in a newline."""
    return "\n".join(_lines(seen, paint)) + "\n"


def groups(found: Sequence[GroupLine], paint: Paint) -> str:
    """A table of groups, ending in a newline."""
    if not found:
        return "No consumer groups.\n"
    rows = [("group", "whose", "generation", "state", "members", "lag")] + [
        (g.name, g.whose, "" if g.generation is None else str(g.generation), g.state, str(g.members),
         "" if g.lag is None else f"{g.lag:,}") for g in found]
    lines = list(_table(rows))
    return "\n".join([paint(lines[0], "dim"), *(paint(line, _WHOSE[g.whose]) if g.whose != "active" else line
                                                for line, g in zip(lines[1:], found, strict=True))]) + "\n"


def _lines(seen: Coverage, paint: Paint) -> Iterator[str]:
    record = seen.cutover
    yield f"{paint(seen.environment, 'strong')}  cutover {record.id}, generation {record.generation}, {record.state}"
    taken = "the broker's time when it was taken" if seen.automatic else "fixed by the manifest"
    yield f"  T         {_time(record.t_cutover)}, {taken}; Δ {spoken(record.skew)}"
    members = f"{seen.group.members} member{'' if seen.group.members == 1 else 's'}"
    yield f"  group     {record.group}, {seen.group.state}, {members}"
    yield f"  backfill  {_backfill(seen)}"
    yield f"  stream    {_stream(seen)}"
    yield f"  both      {_both(seen)}"
    yield f"  clocks    {_clocks(seen)}"
    for again in seen.reprocessings:
        records = sum(again.end[place] - offset for place, offset in again.begin.items())
        yield f"  replayed  {_time(again.at)}, {records:,} records"
    lines = list(_table([("", "partition", "log start", "start", "committed", "end", "lag", "replayable"),
                         *(_row(p, seen.at) for p in seen.partitions)]))
    yield paint(lines[0], "dim")
    yield from lines[1:]


def _backfill(seen: Coverage) -> str:
    run = seen.backfill
    if run is None:
        return "not begun"
    total = f" of {run['rows_total']:,}" if run["rows_total"] else ""
    rate = f" at {run['rows_per_s']:,.0f} rows/s" if run["rows_per_s"] else ""
    left = f", {spoken(seen.backfill_left_s)} left" if run["state"] != "done" and seen.backfill_left_s else ""
    until = f" of event times before {_time(seen.owned_until)}" if seen.owned_until else ""
    newest = f"; the last row is of {_time(run['newest'])}" if run["newest"] else ""
    return f"{run['state']}, {run['rows_read']:,}{total} rows{until}{rate}{left}{newest}"


def _stream(seen: Coverage) -> str:
    lag = sum(p.lag for p in seen.partitions)
    at = f"; all up to {_time(seen.stream_at)} is applied" if seen.stream_at else "; nothing is applied yet"
    return f"from {_time(seen.stream_from)} on, {lag:,} records to read{at}"


def _both(seen: Coverage) -> str:
    """Where the two sides overlap; a gap would be told here too."""
    end = seen.read_at if seen.owned_until is None else seen.owned_until
    if end is None:
        return "nothing yet"
    if end < seen.stream_from:
        return f"none: {_time(end)} to {_time(seen.stream_from)} is covered by nobody"
    return f"{_time(seen.stream_from)} to {_time(end)}; the total order makes that harmless"


def _clocks(seen: Coverage) -> str:
    ahead = seen.broker_ahead_s
    text = f"the broker's is {abs(ahead):.3f} s {'ahead of' if ahead >= 0 else 'behind'} this machine's"
    source = seen.cutover.snapshot.get("ahead_of_broker_s")
    if isinstance(source, int | float):
        text += f"; the source's was {abs(source):.3f} s {'ahead of' if source >= 0 else 'behind'} the broker's"
    return text


def _row(p: PartitionCover, now: datetime) -> tuple[str, ...]:
    if not p.replayable:
        until = "no: the log begins after the start"
    elif p.replay_until is None:
        until = "yes"
    else:
        left = (p.replay_until - now).total_seconds()
        until = f"until {_time(p.replay_until)}" + (f", {spoken(left)} left" if left > 0 else "; it may go any time")
    committed = "none" if p.committed is None else f"{p.committed:,}"
    return ("", f"{p.topic}/{p.partition}", f"{p.log_start:,}", f"{p.start:,}", committed, f"{p.end:,}", f"{p.lag:,}",
            until)


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
