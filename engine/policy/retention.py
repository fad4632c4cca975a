"""What a cutover needs of the hubs' retention (P6.5): a pure sum, the same at plan time, when the cutover is taken and
while the backfill runs.

Must not: read a clock, a broker or a store; its callers measure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from engine.model.duration import spoken


@dataclass(frozen=True, slots=True)
class Need:
    """`age` of T, the skew allowance Δ, what `remaining` backfill takes (None: nobody can tell yet) and the recovery
    `buffer`, against what the hubs have `kept` at least."""

    age: timedelta
    skew: timedelta
    remaining: timedelta | None
    buffer: timedelta
    kept: timedelta

    @property
    def total(self) -> timedelta:
        """All that has to fit."""
        return max(self.age, timedelta()) + self.skew + (self.remaining or timedelta()) + self.buffer

    @property
    def fits(self) -> bool:
        """Whether the log still holds all that the stream has to read when the backfill is done, with the buffer."""
        return self.total < self.kept

    @property
    def evidence(self) -> str:
        """The sum in words."""
        backfill = "not measured yet" if self.remaining is None else spoken(self.remaining)
        return (f"age of T {spoken(max(self.age, timedelta()))} + skew {spoken(self.skew)} + remaining backfill "
                f"{backfill} + recovery buffer {spoken(self.buffer)} = {spoken(self.total)}; the hubs keep "
                f"{spoken(self.kept)}")
