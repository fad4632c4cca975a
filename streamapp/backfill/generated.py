"""Synthetic events as a source: two parts, orders and ledger, of one generator.

Owns which event goes to which part, and the position, which is the number of a block. Broken payloads belong to
the ledger part. Must not invent data: that is `streamapp.synthetic`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streamapp import synthetic
from streamapp.backfill.chunks import Chunk, Part, add_payloads, add_records, event_time
from streamapp.backfill.spec import Synthetic
from streamapp.contract import LedgerEntry, PaymentOrder, Record
from streamapp.entities import LEDGER, ORDERS


class SyntheticSource:
    """A place is the event's number within its part, from 1."""

    def __init__(self, spec: Synthetic) -> None:
        self._spec = spec

    def parts(self) -> Sequence[Part]:
        rows = self._spec.rows
        return [
            Part("orders", ORDERS, "synthetic:orders", "", -(-rows // 3)),
            Part("ledger", LEDGER, "synthetic:ledger", "", rows - -(-rows // 3)),
        ]

    def chunks(self, part: Part, position: str, rows_before: int) -> Iterator[Chunk]:
        spec, first, row = self._spec, int(position or 0), rows_before
        wanted = PaymentOrder if part.entity is ORDERS else LedgerEntry
        for number, block in enumerate(synthetic.blocks(spec.rows, spec.seed, faults(spec), first), first):
            records: list[Record] = []
            places: list[int] = []
            broken: list[tuple[int, bytes]] = []
            chunk = Chunk(str(number + 1), 0)
            for event in block:
                if isinstance(event, bytes):
                    if part.entity is not LEDGER:
                        continue
                    row += 1
                    broken.append((row, event))
                elif isinstance(event, wanted):
                    row += 1
                    if spec.before is not None and event_time(event) >= spec.before:
                        chunk.left += 1
                        continue
                    records.append(event)
                    places.append(row)
            add_records(chunk, part, records, places)
            add_payloads(chunk, part, broken, spec.before)
            chunk.rows_read = chunk.staged + chunk.left + len(chunk.broken)
            yield chunk


def faults(spec: Synthetic) -> synthetic.Faults:
    return synthetic.Faults(spec.late, spec.duplicates, spec.out_of_order, spec.broken)
