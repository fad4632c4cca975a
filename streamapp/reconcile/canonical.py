"""A source table's own columns as the store's columns, in SQL: value, validity and hash of a row.

Owns the contract's rules for typed columns as SQL expressions that need no more than PostgreSQL 12 and a role that may
read. Must not run anything. The hash is that of `bo.ledger_entry_hash` and `bo.payment_order_hash`, bit by bit: each
column's own extended hash, null as 0, folded with 31 modulo 2^64.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from streamapp.backfill.postgres import trimmed
from streamapp.columns import ALIASES, REQUIRED
from streamapp.contract import ID_LIMIT, MINUS, PLUS, TEXT_LIMIT, VERSION_LIMIT, ZERO
from streamapp.entities import LEDGER, Entity

_IDS: Final = frozenset({"tx_id", "order_id", "wallet_id", "related_id"})
_PLAIN: Final = re.compile(r"(text|uuid|smallint|integer|bigint|character varying(\(\d+\))?)$")
_WHOLE: Final = frozenset({"smallint", "integer", "bigint"})
_AMOUNT: Final = r"^-?[0-9]{1,16}(\.[0-9]{1,2})?$"
_VERSION: Final = r"^-?[0-9]{1,39}$"
_TIME: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"
RECORD_HASH: Final = 140_000
"""The server version from which hash_record_extended is there."""


@dataclass(frozen=True)
class Cell:
    """One column of the store in terms of the source's: its value, and when it is one that the contract takes."""

    value: sql.Composable
    valid: sql.Composable


@dataclass(frozen=True)
class Canonical:
    """All columns of one entity, in the store's order."""

    entity: Entity
    cells: Mapping[str, Cell]
    server_version: int

    @property
    def columns(self) -> sql.Composed:
        """`value AS name, …`."""
        return sql.SQL(", ").join(
            sql.SQL("{} AS {}").format(cell.value, sql.Identifier(name)) for name, cell in self.cells.items()
        )

    @property
    def valid(self) -> sql.Composed:
        """Whether the contract takes the row; never null."""
        return sql.SQL("coalesce({}, false)").format(sql.SQL(" AND ").join(cell.valid for cell in self.cells.values()))

    def hash(self) -> sql.Composable:
        """The row's hash over canonical columns of these names. As numeric, and modulo 2^64 only, before PG 14."""
        names = [sql.Identifier(name) for name in self.entity.columns]
        if self.server_version >= RECORD_HASH:
            return sql.SQL("hash_record_extended(ROW({}), 0)").format(sql.SQL(", ").join(names))
        folded = [
            sql.SQL("{}::numeric * {}").format(_element(name, kind), sql.Literal(31**power % 2**64))
            for power, (name, kind) in enumerate(reversed(list(self.entity.columns.items())))
        ]
        return sql.SQL("({})").format(sql.SQL(" + ").join(folded))


def canonical(entity: Entity, kinds: Mapping[str, str], server_version: int) -> Canonical:
    """`kinds` maps the source's columns (and the contract's aliases among them) to their types."""
    cells: dict[str, Cell] = {}
    for name in entity.columns:
        found = [n for n in (name, *ALIASES.get(name, ())) if n in kinds]
        cells[name] = _cell(entity, name, {n: kinds[n] for n in found}, server_version)
    if entity is LEDGER:
        cells["amount_signed"] = _signed(cells)
    return Canonical(entity, cells, server_version)


def _cell(entity: Entity, name: str, found: Mapping[str, str], version: int) -> Cell:
    kind = entity.columns[name]
    made = []
    for column, given in found.items():
        match kind:
            case "numeric":
                made.append(_money(column, given))
            case "int8":
                made.append(_version(column, given))
            case "timestamptz":
                made.append(_time(column, given))
            case _:
                made.append(_text(name, column, given, version))
    if kind == "int8":
        made.append(Cell(sql.SQL("0::int8"), sql.SQL("true")))
    if not made:
        made.append(Cell(sql.SQL("NULL::{}").format(sql.SQL(kind)), sql.SQL("true")))
    value = sql.SQL("coalesce({})").format(sql.SQL(", ").join(cell.value for cell in made))
    tests = [cell.valid for cell in made]
    if name in REQUIRED or name == entity.order_time:
        tests.append(sql.SQL("{} IS NOT NULL").format(value))
    return Cell(value, sql.SQL(" AND ").join(tests))


def _text(name: str, column: str, given: str, version: int) -> Cell:
    at = sql.Identifier(column)
    if given.startswith("numeric"):
        text = trimmed(at, version)
    elif _PLAIN.match(given):
        text = sql.SQL("{}::text").format(at)
    else:
        # The form that the type itself writes, which COPY sends: a cast of char(n) or boolean says otherwise.
        text = sql.SQL("CASE WHEN {0} IS NOT NULL THEN concat({0}) END").format(at)
    value: sql.Composable = sql.SQL('({} COLLATE "C")').format(sql.SQL("({})").format(text))
    if name == "entry_type":
        value = sql.SQL("nullif({}, '')").format(value)
    limit = ID_LIMIT if name in _IDS else TEXT_LIMIT
    size = re.search(r"\((\d+)\)", given)
    tests: list[sql.Composable] = []
    if given != "uuid" and given not in _WHOLE and not (size and int(size[1]) <= limit):
        tests.append(sql.SQL("({0} IS NULL OR char_length({0}) <= {1})").format(value, sql.Literal(limit)))
    if name in REQUIRED:
        tests.append(sql.SQL("{} <> ''").format(value) if name != "entry_type" else sql.SQL("true"))
    return Cell(value, sql.SQL(" AND ").join(tests) if tests else sql.SQL("true"))


def _money(column: str, given: str) -> Cell:
    at = sql.Identifier(column)
    if given in _WHOLE:
        value = sql.SQL("{}::numeric").format(at)
        return Cell(value, sql.SQL("({0} IS NULL OR abs({0}) < 1e16)").format(value))
    if given.startswith("numeric"):
        size = re.search(r"\((\d+),(\d+)\)", given)
        if size and int(size[2]) <= 2 and int(size[1]) - int(size[2]) <= 16:
            return Cell(sql.SQL("{}").format(at), sql.SQL("({0} IS NULL OR {0} <> 'NaN')").format(at))
        return Cell(
            sql.SQL("{}").format(at), sql.SQL("({0} IS NULL OR (abs({0}) < 1e16 AND {0} = round({0}, 2)))").format(at)
        )
    return _parsed(at, _AMOUNT, "numeric")


def _version(column: str, given: str) -> Cell:
    at = sql.Identifier(column)
    if given in _WHOLE:
        valid = sql.SQL("({0} IS NULL OR {0} >= {1})").format(at, sql.Literal(-VERSION_LIMIT))
        return Cell(sql.SQL("{}::int8").format(at), valid if given == "bigint" else sql.SQL("true"))
    number = at if given.startswith("numeric") else _parsed(at, _VERSION, "numeric").value
    fits = sql.SQL("({0} = trunc({0}) AND abs({0}) <= {1})").format(number, sql.Literal(VERSION_LIMIT))
    return Cell(
        sql.SQL("CASE WHEN {} THEN ({})::int8 END").format(fits, number), sql.SQL("({} IS NULL OR {})").format(at, fits)
    )


def _time(column: str, given: str) -> Cell:
    at = sql.Identifier(column)
    cell = Cell(at, sql.SQL("true")) if given.startswith("timestamp") else _parsed(at, _TIME, "timestamptz")
    inside = sql.SQL("({0} IS NULL OR {0} BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00')")
    return Cell(cell.value, sql.SQL("{} AND {}").format(cell.valid, inside.format(cell.value)))


def _parsed(at: sql.Identifier, pattern: str, kind: str) -> Cell:
    """A column of another type by its text: null where that is none of `kind`, and then not valid."""
    text = sql.SQL("{}::text").format(at)
    matches = sql.SQL("{} ~ {}").format(text, sql.Literal(pattern))
    return Cell(
        sql.SQL("CASE WHEN {} THEN {}::{} END").format(matches, text, sql.SQL(kind)),
        sql.SQL("({} IS NULL OR {})").format(at, matches),
    )


def _signed(cells: Mapping[str, Cell]) -> Cell:
    """As given, else by the sign of the entry type."""
    kind, amount, given = cells["entry_type"].value, cells["amount"].value, cells["amount_signed"]
    cases = [
        sql.SQL("WHEN {} IN ({}) THEN {}").format(kind, sql.SQL(", ").join(map(sql.Literal, sorted(types))), value)
        for types, value in (
            (PLUS, amount), (MINUS, sql.SQL("-({})").format(amount)), (ZERO, sql.SQL("0::numeric")),
        )
    ]  # fmt: skip
    derived = sql.SQL("CASE {} END").format(sql.SQL(" ").join(cases))
    return Cell(sql.SQL("coalesce({}, {})").format(given.value, derived), given.valid)


def _element(name: str, kind: str) -> sql.Composed:
    """One column's extended hash, null as 0."""
    at: sql.Composable = sql.Identifier(name)
    function = {"numeric": "hash_numeric_extended", "int8": "hashint8extended"}.get(kind, "hashtextextended")
    if kind == "timestamptz":
        function, at = "timestamp_hash_extended", sql.SQL("({} AT TIME ZONE 'UTC')").format(at)
    return sql.SQL("coalesce({}({}, 0), 0)").format(sql.SQL(function), at)
