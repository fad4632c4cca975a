"""What refuses a cutover before anything is written, on live data (exit code 3).

Owns the refusals alone. Must not: record, commit or measure; it is told what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from engine.kinds.clocks import Skew
from engine.model.change import Change
from engine.model.diagnostic import Refused, error
from engine.model.duration import spoken
from engine.model.manifest import Names
from engine.policy.naming import GROUPS, strange_groups
from engine.policy.retention import Need
from engine.providers.base import Broker


def refuse_shared_namespace(change: Change, broker: Broker, names: Names) -> None:
    """A namespace that other environments read from (P3.1)."""
    others = strange_groups(names, broker.groups(GROUPS))
    if others:
        raise Refused([error("shared-namespace", "Other environments read from this namespace.",
                             f"Consumer groups of others: {', '.join(others[:5])}.",
                             "Name a broker of this environment's own in broker.", position=change.source,
                             address=change.address, rule="P3.1")], exit_code=3)


def refuse_bad_clock(change: Change, clock: Skew, allowed: timedelta) -> None:
    """A broker whose clock and this machine's differ by more than Δ: T would be told by the one and read by the
    other (P6.3)."""
    if clock.exceeds(allowed):
        side = "ahead of" if clock.ahead_s > 0 else "behind"
        raise Refused([error("clock-skew", f"The broker's clock is {spoken(abs(clock.ahead_s))} {side} this machine's; "
                             f"Δ is {spoken(allowed)}.", "T would mean one instant here and another there.",
                             "Set the clocks (NTP), or raise cutover.skew.", position=change.source,
                             address=change.address, rule="P6.3")], exit_code=3)


def refuse_future(change: Change, at: datetime, latest: datetime) -> None:
    """A T that the source cannot be read up to yet (P6.3)."""
    if at > latest:
        raise Refused([error("cutover-in-future", f"T {at:%Y-%m-%dT%H:%M:%SZ} has not come yet.",
                             "The source cannot be read up to an instant that has not come.",
                             "Take an earlier cutover.at, in UTC, or leave it out.", address=change.address,
                             position=change.positions.get("at"), rule="P6.3")], exit_code=3)


def refuse_lost_log(change: Change, need: Need, lost: Sequence[str]) -> None:
    """A log that cannot cover the stream's part (P6.5): `lost` names partitions that begin too late."""
    if lost:
        raise Refused([error("log-start", "The log does not reach back to T less Δ.",
                             f"{'; '.join(lost[:5])}: what the stream must read may be gone.",
                             "Take a later T, and a source that covers what is before it; or leave out cutover.at.",
                             address=change.address, rule="P6.5")], exit_code=3)
    if not need.fits:
        raise Refused([error("retention", f"The hubs keep {spoken(need.kept)}; the cutover needs {spoken(need.total)}.",
                             need.evidence, "Raise hubs.*.retention, or take a later T.", position=change.source,
                             address=change.address, rule="P6.5")], exit_code=3)
