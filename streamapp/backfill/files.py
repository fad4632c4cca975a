"""Files as a source: Parquet by row groups, CSV by blocks, JSON lines by bytes.

Owns globbing, formats and positions in a file. Must not check the contract itself. A row's place is its number
in the file: from 1 for Parquet rows and JSON lines; a CSV's header is 1, so its first row is 2.
"""

from __future__ import annotations

import glob
import io
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from streamapp.backfill.chunks import Block, Part
from streamapp.backfill.spec import Files
from streamapp.contract import ContractViolation
from streamapp.entities import LEDGER, ORDERS, Entity
from streamapp.report import JobError
from streamapp.store import Envelope

SUFFIXES: Final = (".parquet", ".jsonl", ".ndjson", ".csv")
_BLOCK: Final = 1 << 22


class FileSource:
    """The files of a spec, orders before ledger, each in the order of its name."""

    workers = 2

    def __init__(self, spec: Files) -> None:
        self._spec = spec
        self._paths: dict[str, Path] = {}

    def snapshot(self) -> Mapping[str, Any]:
        """The globs; which files and contents they named, the spec's digest says."""
        return {"kind": "files", "orders": self._spec.orders, "ledger": self._spec.ledger}

    def parts(self) -> Sequence[Part]:
        """Raises JobError: source-empty, source-format, source-names."""
        found = [
            self._part(path, entity)
            for pattern, entity in ((self._spec.orders, ORDERS), (self._spec.ledger, LEDGER))
            if pattern is not None
            for path in _matches(pattern)
        ]
        if not found:
            raise JobError("source-empty", "the spec names no files", "Give `orders`, `ledger` or both.")
        if len(self._paths) < len(found):
            raise JobError("source-names", "two files have one name", "Rows are known by their file's name.")
        return found

    def blocks(self, part: Part, position: str, rows_before: int) -> Iterator[Block]:
        """Raises JobError source-unreadable where a file is not what its name says."""
        path = self._paths[part.name]
        size = self._spec.chunk_rows
        try:
            if path.suffix == ".parquet":
                yield from _parquet(path, size, int(position or 0))
            elif path.suffix == ".csv":
                yield from _csv(path, part, size, int(position or 0))
            else:
                yield from _json_lines(path, size, position)
        except (pa.ArrowException, OSError) as problem:
            raise JobError("source-unreadable", f"{path.name} cannot be read", str(problem)) from problem

    def _part(self, path: Path, entity: Entity) -> Part:
        self._paths[path.name] = path
        try:
            total = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None
        except (pa.ArrowException, OSError) as problem:
            raise JobError("source-unreadable", f"{path.name} cannot be read", str(problem)) from problem
        return Part(path.name, entity, f"file:{path.name}", str(path.stat().st_size), total)


def _matches(pattern: str) -> list[Path]:
    # glob.glob and not Path.glob: the pattern may be absolute.
    paths = sorted(Path(name) for name in glob.glob(pattern, recursive=True))
    if not paths:
        raise JobError("source-empty", f"no file matches {pattern}", "Check the glob of the source.")
    for path in paths:
        if path.suffix not in SUFFIXES:
            raise JobError("source-format", f"{path.name} is of no known format", ", ".join(SUFFIXES))
    return paths


def _parquet(path: Path, size: int, position: int) -> Iterator[Block]:
    with pq.ParquetFile(path, pre_buffer=False) as file:
        groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        first = 0
        while groups and first + groups[0] <= position:
            first += groups.pop(0)
        wanted = range(file.num_row_groups - len(groups), file.num_row_groups)
        for batch in file.iter_batches(size, row_groups=list(wanted), use_threads=False):
            start, first = first, first + batch.num_rows
            if first <= position:
                continue
            table = pa.table(batch).slice(max(position - start, 0))
            yield Block(str(first), table.num_rows, table, range(first - table.num_rows + 1, first + 1))


def _json_lines(path: Path, size: int, position: str) -> Iterator[Block]:
    """The position is `bytes:lines`. Empty lines count as lines, and are no rows."""
    offset, line = (int(part) for part in (position or "0:0").split(":"))
    with path.open("rb", buffering=_BLOCK) as file:
        file.seek(offset)
        while True:
            lines = [text.strip() for _, text in zip(range(size), file, strict=False)]
            if not lines:
                return
            payloads = [(number, text) for number, text in enumerate(lines, line + 1) if text]
            line += len(lines)
            yield Block(f"{file.tell()}:{line}", len(payloads), payloads=payloads)


class _Skipped:
    """Rows of a CSV that have the wrong number of fields, as the reader meets them."""

    def __init__(self) -> None:
        self.rows: deque[Any] = deque()

    def __call__(self, row: Any) -> Literal["skip", "error"]:
        self.rows.append(row)
        return "skip"

    def take(self, number: int) -> Any | None:
        """The skipped row of this number, if it was one."""
        return self.rows.popleft() if self.rows and self.rows[0].number == number else None


def _csv(path: Path, part: Part, size: int, position: int) -> Iterator[Block]:
    """The position is the last row's number. All columns are read as text; an empty field is null."""
    skipped = _Skipped()
    number = 1
    with _open_csv(path, skipped) as reader:
        for batch in reader:
            for start in range(0, batch.num_rows, size):
                table = pa.table(batch.slice(start, size))
                numbers: list[int] = []
                broken: list[Envelope] = []
                while len(numbers) < table.num_rows:
                    number += 1
                    row = skipped.take(number)
                    if row is None:
                        numbers.append(number)
                    else:
                        broken.append(_broken(part, row))
                if number <= position:
                    continue
                # The position lies inside a block where the run before this one had blocks of another size.
                done = bisect_right(numbers, position)
                numbers, broken = numbers[done:], [row for row in broken if row.offset > position]
                yield Block(str(number), len(numbers) + len(broken), table.slice(done), numbers, broken=broken)
    rest = [row for row in skipped.rows if row.number > position]
    if rest:
        yield Block(str(rest[-1].number), len(rest), broken=[_broken(part, row) for row in rest])


def _open_csv(path: Path, skipped: _Skipped) -> Any:
    parse = pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skipped)
    # One look at the header for the names: every column is to be read as text, and none guessed.
    with path.open("rb") as file:
        header = file.readline()
    names = pa_csv.read_csv(io.BytesIO(header)).schema.names
    return pa_csv.open_csv(
        path,
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=_BLOCK),
        parse_options=parse,
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            null_values=[""],
            quoted_strings_can_be_null=False,
        ),
    )


def _broken(part: Part, row: Any) -> Envelope:
    problem = ContractViolation("bad_row", f"{row.actual_columns} fields, and the header has {row.expected_columns}")
    return Envelope(part.topic, 0, row.number, None, row.text.encode(), problem)
