"""Contracting revisions: what an Alembic revision takes away from those who use the schema (P4.4).

Owns: a revision's SQL (Alembic's offline mode), and which of its statements drop, rename or narrow something. Must not:
decide whether that may be, or touch a database.
"""

from __future__ import annotations

import ast
import io
import re
import threading
from collections.abc import Iterable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import Script
from alembic.util import to_tuple

from engine.kinds.service import service_files
from engine.model.value import Value

_SUSPECT = re.compile(r"drop|rename|alter|set\s+not\s+null", re.IGNORECASE)
_NAME = r'(?:IF EXISTS )?((?:"[^"]+"|[\w$]+)(?:\.(?:"[^"]+"|[\w$]+))?)'
_WHOLE = re.compile(rf"^DROP (?:TABLE|VIEW|MATERIALIZED VIEW|FUNCTION|TYPE|SEQUENCE|SCHEMA) {_NAME}((?:, .*)?)",
                    re.IGNORECASE)
_TABLE = re.compile(rf"^ALTER (?:TABLE|VIEW) (?:ONLY )?{_NAME} (.*)", re.IGNORECASE)
_PART = (
    ("drops", re.compile(rf"DROP COLUMN {_NAME}", re.IGNORECASE)),
    ("renames", re.compile(rf"RENAME (?:COLUMN )?(?!TO\b|CONSTRAINT\b){_NAME} TO ", re.IGNORECASE)),
    ("narrows", re.compile(rf"ALTER (?:COLUMN )?{_NAME} (?:SET DATA )?TYPE ", re.IGNORECASE)),
    ("narrows", re.compile(rf"ALTER (?:COLUMN )?{_NAME} SET NOT NULL", re.IGNORECASE)),
)
# Alembic keeps the environment that runs in its own module, one a process; several environments are planned at once.
_ALEMBIC = threading.Lock()
_RENAMED = re.compile(r"RENAME TO ", re.IGNORECASE)


def offline_sql(folder: Path, down: str, revision: str) -> str:
    """The SQL that takes a schema from `down` (empty for nothing) to `revision`. Raises what Alembic raises."""
    output = io.StringIO()
    config = Config(output_buffer=output, stdout=io.StringIO())
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    with _ALEMBIC:
        command.upgrade(config, f"{down or 'base'}:{revision}", sql=True)
    return output.getvalue()


def contracts(folder: Path, revision: Script) -> list[dict[str, Value]]:
    """What a revision takes away: {what: drops | renames | narrows | declares, name: table or table.column, used_in:
    the service's files that name it}. Its module may declare what no statement tells, in a list `contracts`.

    A revision whose upgrade holds no word that could take something away is not run.
    """
    found = [("declares", str(name)) for name in getattr(revision.module, "contracts", ())]
    if _SUSPECT.search(_upgrade_text(Path(revision.path))):
        found += taken(offline_sql(folder, ",".join(to_tuple(revision.down_revision, ())), revision.revision))
    return [{"what": what, "name": name, "used_in": used_in(name)} for what, name in dict.fromkeys(found)]


def used_in(name: str) -> list[str]:
    """The service's files, as they are here, that hold the last part of a name as a word."""
    word = re.compile(rf"\b{re.escape(name.rpartition('.')[2])}\b")
    return [file for file, path in service_files().items() if word.search(path.read_text(encoding="utf-8"))]


def taken(sql: str) -> Iterable[tuple[str, str]]:
    """The contracting statements in a script: what is done, and to which table or table.column."""
    for statement in re.split(r";\s*\n", sql):
        lines = [line for line in statement.splitlines() if not line.lstrip().startswith("--")]
        text = " ".join(" ".join(lines).split())
        if found := _WHOLE.match(text):
            for name in [found[1], *re.findall(r"[\w$.\"]+", re.sub(r"\b(CASCADE|RESTRICT)\b", "", found[2]))]:
                yield "drops", _plain(name)
        elif found := _TABLE.match(text):
            table, rest = _plain(found[1]), found[2]
            if _RENAMED.match(rest):
                yield "renames", table
            for what, pattern in _PART:
                for part in pattern.finditer(rest):
                    yield what, f"{table}.{_plain(part[1])}"


def _plain(name: str) -> str:
    return name.replace('"', "")


def _upgrade_text(path: Path) -> str:
    """The text of a revision without its docstring and its way back."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kept = [n for n in tree.body if not (isinstance(n, ast.FunctionDef) and n.name == "downgrade")
            and not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
    return ast.unparse(ast.Module(kept, []))
