"""What a reconciliation compares: the JSON of RECONCILE_SPEC as checked values.

Owns the fields and their limits. Must not open anything. `t_cutover`, `skew_s` (Δ, seconds) and `group` are those of
the active cutover. `source_is_live`: the source holds all that is streamed too, so a streamed row that it lacks is
extra. `repair`: the digest of the differences that somebody has seen; those are mended, and no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from streamapp.backfill.spec import Spec
from streamapp.report import JobError


class Reconcile(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    source: Spec
    t_cutover: Annotated[datetime, msgspec.Meta(tz=True)]
    skew_s: Annotated[float, msgspec.Meta(ge=0)]
    group: str
    samples: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 5
    source_is_live: bool = False
    repair: str | None = None

    @property
    def skew(self) -> timedelta:
        return timedelta(seconds=self.skew_s)


def read(env: Mapping[str, str]) -> Reconcile:
    """The spec in RECONCILE_SPEC. Raises JobError `bad-spec`."""
    try:
        return msgspec.json.decode(env.get("RECONCILE_SPEC", ""), type=Reconcile)
    except (msgspec.MsgspecError, ValueError) as problem:
        raise JobError("bad-spec", "RECONCILE_SPEC cannot be used", str(problem)) from None
