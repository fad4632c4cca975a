"""Synthetic events as a source: two parts, orders and ledger, of one generator.

Owns which event goes to which part, and the position, which is the number of a block. Broken payloads belong to
the ledger part. Must not invent data: that is `streamapp.synthetic`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from streamapp import synthetic
from streamapp.backfill.chunks import Block, Part
from streamapp.backfill.spec import Synthetic
from streamapp.contract import LedgerEntry, PaymentOrder, Record
from streamapp.entities import LEDGER, ORDERS


class SyntheticSource:
    """A place is the event's number within its part, from 1."""

    workers = 2

    def __init__(self, spec: Synthetic) -> None:
        self._spec = spec

    def snapshot(self) -> Mapping[str, Any]:
        return {"kind": "synthetic", "rows": self._spec.rows, "seed": self._spec.seed}

    def parts(self) -> Sequence[Part]:
        rows = self._spec.rows
        return [
            Part("orders", ORDERS, "synthetic:orders", "", -(-rows // 3)),
            Part("ledger", LEDGER, "synthetic:ledger", "", rows - -(-rows // 3)),
        ]

    def blocks(self, part: Part, position: str, rows_before: int) -> Iterator[Block]:
        spec, first, row = self._spec, int(position or 0), rows_before
        wanted = PaymentOrder if part.entity is ORDERS else LedgerEntry
        for number, events in enumerate(synthetic.blocks(spec.rows, spec.seed, faults(spec), first), first):
            records: list[tuple[int, Record]] = []
            payloads: list[tuple[int, bytes]] = []
            for event in events:
                if isinstance(event, wanted):
                    row += 1
                    records.append((row, event))
                elif isinstance(event, bytes) and part.entity is LEDGER:
                    row += 1
                    payloads.append((row, event))
            rows = len(records) + len(payloads)
            yield Block(str(number + 1), rows, payloads=payloads, records=records)


def faults(spec: Synthetic) -> synthetic.Faults:
    return synthetic.Faults(spec.late, spec.duplicates, spec.out_of_order, spec.broken)
