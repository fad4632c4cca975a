"""Where an engine's answer differs from Apache Kafka's, in one place.

A difference is asserted to be still there: an engine that has mended itself fails the test, and its entry goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Contract:
    """Compares an engine's answers with the contract."""

    engine: str

    def holds(self, name: str, answer: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
        """`answer` is what the contract `expected`, but for the keys that are known to differ for this engine."""
        known = DIFFERENCES.get((self.engine, name), {})
        assert known.keys() <= expected.keys()
        assert all(expected[key] != value for key, value in known.items()), "that is no difference"
        told = {key: (answer.get(key), wanted) for key, wanted in {**expected, **known}.items()}
        wrong = {key: pair for key, pair in told.items() if pair[0] != pair[1]}
        assert not wrong, f"{self.engine}, {name}: (answer, expected) {wrong}"
        assert answer.keys() == expected.keys()


_NOTHING_KEPT = {"partitions": None, "retention_ms": None, "append_stamps": None, "records": None, "committed": None}

DIFFERENCES: Mapping[tuple[str, str], Mapping[str, Any]] = {
    # What came after the last snapshot is lost; a snapshot is begun about a second after a change.
    ("noida", "kill"): {"records": 6},
    # A topic that a client asks for by name appears with one partition.
    ("noida", "mention"): {"made": True},
    ("tansu", "mention"): {"made": True},
    # Memory only.
    ("tansu", "restart"): _NOTHING_KEPT,
    ("tansu", "kill"): _NOTHING_KEPT,
    # The end of a log is told as one past the start of its last batch.
    ("tansu", "ends"): {"latest": (6, 0)},
    # After the last record it answers the log's first offset rather than none.
    ("tansu", "offset-for-time"): {"after_all": 0},
    # Records cannot be deleted: it drops the connection.
    ("tansu", "log-start"): {"deleted": False, "earliest": 0},
    # The topic's setting is kept and has no effect: records carry the producer's time.
    ("tansu", "append-stamp"): {"told": False, "read": False},
    ("tansu", "clock"): {"stamped": False},
    # It gives no producer id to a client that asks in the first version of that call, as aiokafka does.
    ("tansu", "idempotence"): {"answers": None, "records": 0},
    # A size limit is not enforced.
    ("tansu", "megabyte"): {"two": None},
    # Members are admitted, and leavers noticed, after half a session.
    ("tansu", "rebalance"): {"join_at_once": False, "drained_at_once": False},
    ("tansu", "delete-with-member"): {"refused": False},
    # A group is described without its members.
    ("tansu", "describe"): {"joined": ("stable", 0)},
    # Before the end that it tells, there is no second record of the last batch.
    ("tansu", "stamps"): {"which": set()},
}
"""(engine, name of the contract's clause) to the answers that differ."""
