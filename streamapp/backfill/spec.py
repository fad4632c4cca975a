"""What a backfill or a feed reads: the JSON of BACKFILL_SPEC and FEED_SPEC as checked values.

Owns the fields, their defaults and limits. Must not open a source. `before` is exclusive: rows whose event time
(ledger: event_time; orders: updated_at, else created_at) is at or after it are left to the stream. Where a live
source's clock may run ahead of the broker's, `before` has to be T_cutover + Δ, or null: a row that is read
twice is harmless, one that is read by nobody is lost. A stamp at or after `future` lies in the future of the reading;
it says nothing of when the row was published, and such a row is never left to the stream.

A source whose clock differs from the broker's by more than `max_skew_s` is refused; the broker's is `broker_ahead_s`
ahead of this machine's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec

from streamapp.report import JobError

_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Zoned = Annotated[datetime, msgspec.Meta(tz=True)]
_Count = Annotated[int, msgspec.Meta(ge=0)]


class Source(msgspec.Struct, forbid_unknown_fields=True, frozen=True, tag_field="kind", kw_only=True):
    chunk_rows: Annotated[int, msgspec.Meta(ge=1, le=500_000)] = 50_000


class Run(Source, frozen=True, kw_only=True):
    """What a backfill adds to a source: the cutover it belongs to. For a feed both stay empty."""

    before: _Zoned | None = None
    future: _Zoned | None = None
    max_skew_s: float | None = None
    broker_ahead_s: float = 0.0
    cutover_id: int | None = None
    spec_digest: str | None = None
    # A feed's own: events a second, how many at most, and whether the last event's time becomes now.
    rate: Annotated[float, msgspec.Meta(gt=0)] | None = None
    limit: _Count | None = None
    shift_to_now: bool = False


class Files(Run, frozen=True, tag="files", kw_only=True):
    """`orders` and `ledger` are globs of .parquet, .jsonl, .ndjson or .csv files."""

    orders: str | None = None
    ledger: str | None = None


class Postgres(Run, frozen=True, tag="postgres", kw_only=True):
    """Tables by name, with a schema where it is not on the search path; SOURCE_PG… tell the server."""

    orders_table: str | None = None
    ledger_table: str | None = None


class Synthetic(Run, frozen=True, tag="synthetic", kw_only=True):
    """`rows` of both entities together; the other numbers are shares of them."""

    rows: _Count
    seed: int = 1
    late: _Share = 0.0
    duplicates: _Share = 0.0
    out_of_order: _Share = 0.0
    broken: _Share = 0.0


Spec = Files | Postgres | Synthetic
_Any = TypeVar("_Any", Files, Postgres, Synthetic)


def read(env: Mapping[str, str], name: str) -> Spec:
    """The spec in the variable `name`. Raises JobError `bad-spec`."""
    text = env.get(name)
    if not text:
        raise JobError("bad-spec", f"{name} is not set", "It holds the source as a JSON object.")
    try:
        spec: Spec = msgspec.json.decode(text, type=Spec)
        return spec
    except (msgspec.MsgspecError, ValueError) as problem:
        raise JobError("bad-spec", f"{name} cannot be used", str(problem)) from None
